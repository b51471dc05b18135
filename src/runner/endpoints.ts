import type { Api } from './alibaba.ts'

/** Regions whose PolarDB API has no public address of their own ("Endpoints", PolarDB API reference). */
const centralPolardb =
  /^(cn-(qingdao|beijing|hangzhou|shanghai|shenzhen|hongkong)|ap-southeast-1|us-west-1)$/

/** Where the API of ECS is, on the internet or inside a VPC of the region. */
export function ecsApi(region: string, network: 'public' | 'vpc', override?: string): Api {
  const host = network === 'vpc' ? 'ecs-vpc' : 'ecs'
  return { endpoint: override ?? `https://${host}.${region}.aliyuncs.com`, version: '2014-05-26' }
}

/** Where the API of PolarDB is. */
export function polardbApi(region: string, network: 'public' | 'vpc', override?: string): Api {
  const host =
    network === 'vpc'
      ? `polardb-vpc.${region}`
      : centralPolardb.test(region)
        ? 'polardb'
        : `polardb.${region}`
  return { endpoint: override ?? `https://${host}.aliyuncs.com`, version: '2017-08-01' }
}
