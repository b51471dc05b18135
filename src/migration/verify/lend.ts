import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass, sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { printable } from '../../text/text.ts'
import { doStill } from '../cancellation.ts'
import {
  borneOut,
  noDump,
  notOurs,
  type RestoreState,
  readMark,
  removeMark,
} from '../restore/database/mark.ts'
import { TemporaryRights } from '../restore/owners/temporary-rights.ts'
import { readTargetFacts, type TargetFacts } from '../restore/plan/target-facts.ts'
import { TargetSession } from '../restore/run/target-session.ts'
import { pause } from '../retry.ts'
import type { Run } from '../run.ts'

/** How the session calls itself that lends and gives back. */
const sessionName = 'migrate-to-polardb verify rights'

/** Milliseconds and tries for giving back: a cancelled job has seconds, not minutes. */
const releaseTime = 5000
const releaseAttempts = 3
/** Milliseconds for all of giving back. */
const releaseLimit = 20_000

/**
 * Runs `work` while the account may read everything of a target's database, as far as it can have that: by pg_read_all_data
 * where it may grant that (14 and newer), otherwise as a member of the owners. Every right is written down in the target
 * before it is taken, like those of a restore, and given back whatever becomes of `work`; of a run that was killed the next one
 * gives them back, a verification as well as a restore that resumes.
 *
 * Only where `lend-rights` allows it, or where the mark of a restore says that this was allowed before.
 *
 * @throws Failure when the target cannot be asked; Cancelled; whatever `work` throws. What could not be lent shows in what
 *   cannot be read, and what could not be given back is a warning
 */
export async function withLentRights<T>(
  connection: ConnectionParameters,
  database: string,
  run: Run,
  work: () => Promise<T>,
): Promise<T> {
  const lending = await Lending.begin(connection, database, run)
  try {
    return await work()
  } finally {
    await lending?.giveBack()
  }
}

class Lending {
  private readonly place: { target: ConnectionParameters; targetName: string }
  private readonly rights: TemporaryRights
  private readonly run: Run
  /** What a restore's mark had lent already: that is the restore's, interrupted or not. Null without such a mark. */
  private readonly ofRestore: readonly string[] | null

  private constructor(
    place: Lending['place'],
    rights: TemporaryRights,
    run: Run,
    ofRestore: readonly string[] | null,
  ) {
    this.place = place
    this.rights = rights
    this.run = run
    this.ofRestore = ofRestore
  }

  static async begin(
    connection: ConnectionParameters,
    database: string,
    run: Run,
  ): Promise<Lending | null> {
    const place = { target: connection, targetName: database }
    const target = await TargetSession.open(place, sessionName, run.signal)
    try {
      const client = await target.own()
      const mark = await readMark(client)
      const { lendRights } = run.inputs
      if (mark && !mark.ours && lendRights) throw notOurs(mark)
      const found = mark?.state ?? null
      if (found === null && !lendRights) return null
      const facts = await readTargetFacts(client, { databaseExists: true, labelProviders: [] })
      // what is to be given back, the server must bear out
      const marked = found ? await borneOut(client, found, facts.target.major) : nothingLent()
      const rights = new TemporaryRights(facts, database, marked)
      const ofRestore = marked.dump === noDump ? null : [...marked.memberships]
      const lending = new Lending(place, rights, run, ofRestore)
      try {
        const { account, hasPolarSuperuser } = facts.target
        // a polar_superuser of PolarDB 11 may act as anybody but a superuser (docs/polardb.md, "polar_superuser")
        const needsNothing = account.superuser || (account.polarSuperuser && hasPolarSuperuser)
        if (!needsNothing) await lending.lend(target, facts)
      } catch (error) {
        await lending.giveBack()
        throw error
      }
      return lending
    } catch (error) {
      if (sqlstateOf(error) === undefined) throw error
      throw new Failure(
        `The account cannot be lent what it needs to read "${database}" on the target`,
        messageOf(error),
        'Give the account what it lacks by hand, or leave lend-rights out',
        { cause: error, sqlstate: sqlstateOf(error) },
      )
    } finally {
      await target.close()
    }
  }

  private async lend(target: TargetSession, { target: { major } }: TargetFacts): Promise<void> {
    const client = await target.own()
    if ((await rolesToRead(client)).length === 0) return
    if (!(await this.openMark(target, client, major))) return
    // it lets read and nothing else; of FORCE ROW LEVEL SECURITY and of large objects it knows nothing
    if (major >= 14) await this.become(target, 'pg_read_all_data')
    for (const role of await rolesToRead(client)) await this.become(target, role)
  }

  /** The mark takes CREATE on the database: the account may have that only as a member of who owns it. */
  private async openMark(
    target: TargetSession,
    client: pg.Client,
    major: number,
  ): Promise<boolean> {
    const { rows } = await client.query<{ owner: string; able: boolean }>(`
      SELECT pg_catalog.pg_get_userbyid(datdba) AS owner,
             pg_catalog.has_database_privilege(oid, 'CREATE') AS able
        FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`)
    const [row] = rows
    if (!row || row.able || (await readMark(client)) !== null) return true
    const grant = `GRANT ${quoteIdentifier(row.owner)} TO ${quoteIdentifier(this.place.target.user)}`
    try {
      await client.query(`${grant}${major >= 16 ? ' WITH SET TRUE, INHERIT TRUE' : ''}`)
    } catch (error) {
      if (sqlstateOf(error) === undefined) throw error
      this.run.warn(
        `Nothing is lent to the account, since it may not write down in the database what to give back: ${messageOf(error)}`,
      )
      return false
    }
    this.log(row.owner)
    this.rights.marked.memberships.push(row.owner)
    // in the mark as soon as there is one
    await this.rights.save(target)
    return true
  }

  private async become(target: TargetSession, role: string): Promise<void> {
    const { length } = this.rights.marked.memberships
    const reason = await this.rights.become(target, role)
    if (reason !== undefined) this.run.log.info(`Not lent: ${printable(reason)}`)
    else if (this.rights.marked.memberships.length > length) this.log(role)
  }

  private log(role: string): void {
    const grant = `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(this.place.target.user)}`
    this.run.log.info(`Lent until the verification ends: ${printable(grant)}`)
  }

  /** Gives back what was lent, in bounded time. It never throws. */
  async giveBack(): Promise<void> {
    let why: unknown = 'the target refuses'
    const given = await doStill(this.run.signal, releaseLimit, async (limit) => {
      for (let attempt = 0; attempt < releaseAttempts && !limit.aborted; attempt++) {
        try {
          return await this.tryToGiveBack(limit)
        } catch (error) {
          why = error
          if (!mayPass(error)) return false
          await pause(1, limit).catch(() => {})
        }
      }
      return false
    })
    if (given) return
    const roles = this.rights.marked.memberships.map(printable).join(', ')
    this.run.warn(
      `The account is still a member of ${roles} on the target (${messageOf(why)}): end that by hand, or verify again`,
    )
  }

  private async tryToGiveBack(limit: AbortSignal): Promise<boolean> {
    const { place, rights } = this
    // not the job's own signal, which may have fired
    const signal = AbortSignal.any([limit, AbortSignal.timeout(releaseTime)])
    const target = await TargetSession.open(place, sessionName, signal)
    const cut = () => void target.close()
    signal.addEventListener('abort', cut, { once: true })
    try {
      const client = await target.own()
      const { ofRestore } = this
      const lent = rights.marked.memberships.filter((role) => !ofRestore?.includes(role))
      if (lent.length === 0 && (ofRestore || (await readMark(client)) === null)) return true
      if (!ofRestore) await rights.takeBackGrants(target)
      const left = await rights.takeBackMemberships(target, lent)
      const back = lent.filter((role) => !left.includes(role)).map(printable)
      if (back.length > 0) this.run.log.info(`Given back: membership in ${back.join(', ')}`)
      if (!ofRestore && left.length === 0) await removeMark(client)
      return left.length === 0
    } finally {
      signal.removeEventListener('abort', cut)
      await target.close()
    }
  }
}

function nothingLent(): RestoreState {
  const lists = { memberships: [], schemaGrants: [], databaseGrants: [] }
  return { dump: noDump, ...lists, loader: null, owners: false }
}

/**
 * The roles that the account must be a member of to read what it cannot read now: owners of tables, sequences and large
 * objects, and of schemas that the owner of such a table may not use himself.
 */
async function rolesToRead(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ role: string }>(`
    WITH barred AS (
      SELECT c.relowner, n.nspowner,
             NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
             AND NOT pg_catalog.has_schema_privilege(c.relowner, n.oid, 'USAGE') AS outside
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't' AND c.oid >= 16384
         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         AND (NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
              OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
              OR c.relkind = 'r' AND pg_catalog.row_security_active(c.oid))
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')),
    needed(role) AS (
      SELECT relowner FROM barred
      UNION SELECT nspowner FROM barred WHERE outside
      UNION SELECT l.lomowner FROM pg_catalog.pg_largeobject_metadata l
             WHERE NOT pg_catalog.pg_has_role(l.lomowner, 'USAGE')
               AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(l.lomacl) a
                                WHERE a.privilege_type = 'SELECT'
                                  AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))))
    SELECT r.rolname AS role FROM needed JOIN pg_catalog.pg_roles r ON r.oid = needed.role
     WHERE NOT pg_catalog.pg_has_role(r.oid, 'USAGE') ORDER BY 1`)
  return rows.map(({ role }) => role)
}
