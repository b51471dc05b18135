import { Failure } from '../failure.ts'
import { type Alibaba, AlibabaError, type Api, type Parameters } from './alibaba.ts'

/** A group of a cluster's whitelist: its name, and the addresses that may connect. */
export interface WhitelistGroup {
  name: string
  addresses: string
}

/** The whitelist of a PolarDB cluster, by the groups in it. Only a group of our own name is ever touched. */
export class Whitelist {
  private readonly alibaba: Alibaba
  private readonly api: Api
  private readonly cluster: string

  constructor(alibaba: Alibaba, api: Api, cluster: string) {
    this.alibaba = alibaba
    this.api = api
    this.cluster = cluster
  }

  /** Lets one address in, under a group of its own; a group of that name is replaced. */
  async allow(group: string, address: string): Promise<void> {
    await this.modify(group, address, 'Cover')
  }

  /** Takes the addresses out of a group, which ends it. */
  async remove(group: WhitelistGroup): Promise<void> {
    await this.modify(group.name, group.addresses, 'Delete')
  }

  async groups(): Promise<WhitelistGroup[]> {
    const answer = await this.call('DescribeDBClusterAccessWhitelist', {})
    const items = (answer.Items as { DBClusterIPArray?: unknown } | undefined)?.DBClusterIPArray
    return (Array.isArray(items) ? (items as Record<string, unknown>[]) : []).map((item) => ({
      name: String(item.DBClusterIPArrayName),
      addresses: String(item.SecurityIps ?? ''),
    }))
  }

  private async modify(name: string, addresses: string, mode: 'Cover' | 'Delete'): Promise<void> {
    await this.call('ModifyDBClusterAccessWhitelist', {
      DBClusterIPArrayName: name,
      SecurityIps: addresses,
      ModifyMode: mode,
      WhiteListType: 'IP',
    })
  }

  private async call(action: string, parameters: Parameters): Promise<Record<string, unknown>> {
    try {
      return await this.alibaba.call(this.api, action, { DBClusterId: this.cluster, ...parameters })
    } catch (error) {
      if (!(error instanceof AlibabaError)) throw error
      throw new Failure(
        `The whitelist of ${this.cluster} could not be read or changed`,
        error.message,
        'Check cluster and region: the cluster must exist there and be running; a cluster has at most 50 groups',
        { cause: error },
      )
    }
  }
}
