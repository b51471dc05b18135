import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { maskStatement } from '../../../postgres/archive/statement.ts'
import { serverVersion } from '../../../postgres/connection.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import type { RoleNames } from '../../../postgres/roles/role-names.ts'
import { printable, shorten } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import type { RestorePlan } from '../../restore/plan/plan.ts'
import type { PlannedEntry } from '../../restore/plan/planned-entry.ts'
import { runEntry, sqlOf } from '../../restore/run/statements.ts'
import type { TargetSession } from '../../restore/run/target-session.ts'
import { readCatalog } from '../catalog/catalog.ts'
import type { CatalogFingerprint } from '../catalog/model.ts'
import { withoutServer } from './entries.ts'

/** Statements that go to the server in one message. */
const mostTogether = 100

/** What the account makes itself: code of the archive gets no chance to run with its rights in these. */
const byAccount = /^(SCHEMA|EXTENSION|PROCEDURAL LANGUAGE)$/

/** What may take more power than the builder has, and runs no code of the archive when it is made. */
const mayTakePower =
  /^(FUNCTION|PROCEDURE|AGGREGATE|CAST|OPERATOR|OPERATOR CLASS|OPERATOR FAMILY|ACCESS METHOD|TRANSFORM|CONVERSION|TEXT SEARCH .*|PUBLICATION|PUBLICATION TABLES?.*)$/

export interface WorkOptions {
  plan: RestorePlan
  /** A session of the account in the database of the rebuild. */
  account: TargetSession
  /** One of a role without powers, which carries out the archive's statements; null where there is none. */
  builder: { session: TargetSession; name: string } | null
  /** All happens in one transaction that is rolled back at the end. */
  transaction: boolean
}

/** A rebuild: carries out entries of the dump's schema, and notes which of them failed. */
export class Work {
  /** Why an entry could not be rebuilt. */
  readonly failures = new Map<PlannedEntry, string>()
  readonly hasFailed = (one: PlannedEntry) => this.failures.has(one)
  private readonly options: WorkOptions
  private readonly context: Context

  constructor(options: WorkOptions, context: Context) {
    this.options = options
    this.context = context
  }

  /** Carries entries out, in their order; one that fails does not keep the others. */
  async build(entries: readonly PlannedEntry[]): Promise<void> {
    const { account, builder } = this.options
    const cancel = () => {
      for (const session of [account, builder?.session]) void session?.cancel()
    }
    this.context.signal.addEventListener('abort', cancel, { once: true })
    try {
      const wanted = entries.filter((one) => {
        const { decision } = one
        if (decision.kind !== 'leave-out') return true
        if (!decision.there) this.failures.set(one, `${one.name} is left out: ${decision.reason}`)
        return false
      })
      if (!builder) return await this.passes(wanted, account)
      const first = wanted.filter(({ entry }) => byAccount.test(entry.desc))
      await this.passes(first, account)
      for (const { entry } of first) {
        if (entry.desc === 'SCHEMA') await this.open(entry.tag, builder.name)
      }
      await this.passes(
        wanted.filter(({ entry }) => !byAccount.test(entry.desc)),
        builder.session,
      )
    } finally {
      this.context.signal.removeEventListener('abort', cancel)
    }
  }

  /** Lets the builder use a schema that the account has made. */
  private async open(schema: string, name: string): Promise<void> {
    const [to, quoted] = [quoteIdentifier(name), quoteIdentifier(schema)]
    try {
      await this.options.account.query(`GRANT USAGE, CREATE ON SCHEMA ${quoted} TO ${to}`)
    } catch (error) {
      // what it would have been for then fails and says so
      this.rethrow(error)
    }
  }

  private async passes(entries: readonly PlannedEntry[], session: TargetSession): Promise<void> {
    let left = entries
    // what failed may have needed what came after it
    for (let before = Number.POSITIVE_INFINITY; left.length > 0 && left.length < before; ) {
      before = left.length
      left = await this.pass(left, session)
    }
  }

  private async pass(
    entries: readonly PlannedEntry[],
    session: TargetSession,
  ): Promise<PlannedEntry[]> {
    const failed: PlannedEntry[] = []
    for (let from = 0; from < entries.length; from += mostTogether) {
      const some = entries.slice(from, from + mostTogether)
      if (await this.together(some, session)) continue
      for (const one of some) if (!(await this.alone(one, session))) failed.push(one)
    }
    return failed
  }

  private async together(some: readonly PlannedEntry[], session: TargetSession): Promise<boolean> {
    const [first] = some
    const statements = some.map((one) =>
      one.archive === first?.archive ? sqlOf(withoutServer(one), this.options.plan) : null,
    )
    if (!first || statements.includes(null)) return false
    try {
      await this.attempt(session, first, async (client) => {
        await client.query(statements.join('\n;\n'))
      })
    } catch (error) {
      this.rethrow(error)
      return false
    }
    for (const one of some) this.failures.delete(one)
    return true
  }

  private async alone(one: PlannedEntry, session: TargetSession): Promise<boolean> {
    const { account, plan } = this.options
    try {
      await this.attempt(session, one, () => runEntry(session, withoutServer(one), plan))
    } catch (error) {
      this.rethrow(error)
      if (sqlstateOf(error) === '42501' && session !== account && takesPower(one)) {
        return this.alone(one, account)
      }
      const said = shorten(printable(messageOf(error)), 300)
      this.failures.set(one, `${one.name} could not be rebuilt: ${said}`)
      return false
    }
    this.failures.delete(one)
    return true
  }

  /** Work that either is done or has left nothing. */
  private async attempt(
    session: TargetSession,
    { archive, entry }: PlannedEntry,
    work: (client: pg.Client) => Promise<void>,
  ): Promise<void> {
    const client = await session.foreign(archive, entry.namespace)
    if (!this.options.transaction) return work(client)
    await client.query('SAVEPOINT rebuild')
    try {
      await work(client)
      await client.query('RELEASE SAVEPOINT rebuild')
    } catch (error) {
      if (sqlstateOf(error) !== undefined) await client.query('ROLLBACK TO SAVEPOINT rebuild')
      throw error
    }
  }

  /** An answer of the server is about the statement; everything else ends the rebuild. */
  private rethrow(error: unknown): void {
    if (this.context.signal.aborted) throw new Cancelled()
    if (sqlstateOf(error) === undefined) {
      throw new Failure(
        'The rebuild of the definitions that differ was interrupted',
        messageOf(error),
        'Run verify again',
        { cause: error },
      )
    }
  }
}

/** Not a function that would run with the rights of whoever makes it. */
function takesPower({ entry, archive }: PlannedEntry): boolean {
  return (
    mayTakePower.test(entry.desc) &&
    !/\bSECURITY DEFINER\b/.test(maskStatement(entry.definition, archive.standardStrings))
  )
}

/**
 * The catalog with its texts in place of their hashes.
 *
 * @param names of the source's roles on this server
 */
export async function readTexts(client: pg.Client, names?: RoleNames): Promise<CatalogFingerprint> {
  const { number } = await serverVersion(client)
  return readCatalog(client, number, (_, text) => text, null, names)
}
