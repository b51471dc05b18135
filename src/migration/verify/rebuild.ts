import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { readArchive } from '../../postgres/archive.ts'
import { serverVersion } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { counted, printable, shorten } from '../../report/text.ts'
import type { Context } from '../context.ts'
import type { DatabaseProperties } from '../restore/database.ts'
import { elsewhere } from '../restore/elsewhere.ts'
import { readTargetFacts } from '../restore/facts.ts'
import type { PlannedEntry } from '../restore/fate.ts'
import { makePlan, type RestorePlan } from '../restore/plan.ts'
import { withScratchDatabase } from '../restore/scratch.ts'
import { Session, sessionPrefix } from '../restore/session.ts'
import { runEntry, sqlOf } from '../restore/statements.ts'
import { type CatalogFingerprint, readCatalog } from './catalog.ts'
import { type Decisions, hashOf, type OpenDefinition, sameText } from './definition.ts'
import { selectEntries, withoutServer } from './rebuild-entries.ts'
import { withSession } from './transaction.ts'

/** The dump's own schema, for a rebuild. */
export interface SchemaSource {
  /** The source database, as it was at the dump. */
  properties: DatabaseProperties
  /** Directories that `pg_dump -Fd` wrote, with or without rows; asked for only when something differs. */
  archives(): Promise<string[]>
}

export interface RebuildOptions {
  connection: ConnectionParameters
  /** The database on the target that is being verified. */
  database: string
  schema: SchemaSource
  open: readonly OpenDefinition[]
  /** Both texts of what differs are wanted for the report. */
  showDefinitions: boolean
}

/** Statements that go to the server in one message. */
const mostTogether = 100

/** UTF-16 units of a text in the report, and texts there: both sides of a definition are a help, not an archive. */
const mostText = 20_000
const mostTexts = 200

/**
 * Decides about definitions that are printed otherwise on the target than they were on the source, by an independent
 * rebuild: the dump's own schema, as far as they need it, is restored into a throw-away database on the target, and what
 * the server prints there is held against what it prints of the target. The same statements on the same server print the
 * same, so a definition that still differs is another one. No rows are restored, no owners, no grants, nothing that acts
 * (event triggers, subscriptions, servers).
 *
 * @returns the decisions; what could not be rebuilt is undecided, with the reason
 * @throws Cancelled; never because a rebuild failed
 */
export async function rebuildDefinitions(
  options: RebuildOptions,
  context: Context,
): Promise<Decisions> {
  const rebuilt = new Rebuilt(options)
  try {
    await rebuild(options, rebuilt, context)
  } catch (error) {
    if (error instanceof Cancelled || context.signal.aborted) throw new Cancelled()
    if (!(error instanceof Failure) && sqlstateOf(error) === undefined) throw error
    rebuilt.refuse(error instanceof Failure ? `${error.message}: ${error.why}` : messageOf(error))
  }
  if (options.showDefinitions) await readTexts(options, rebuilt, context)
  return rebuilt
}

async function rebuild(options: RebuildOptions, rebuilt: Rebuilt, context: Context): Promise<void> {
  const { connection, database, schema, open } = options
  const archives = []
  for (const directory of await schema.archives()) archives.push(await readArchive(directory))
  const place = { target: connection, targetName: database }
  const facts = await elsewhere(place, context.signal, (client) =>
    readTargetFacts(client, { databaseExists: false, labelProviders: [] }),
  )
  const plan = makePlan(archives, facts, {
    database: schema.properties,
    allowMissing: ['*'],
    wanted: null,
  })
  const selection = selectEntries(plan.entries, open)
  const began = Date.now()
  const entries = await withScratchDatabase(
    connection,
    database,
    schema.properties,
    context,
    async (scratch) => {
      const work = await Work.open(connection, scratch, plan, context)
      try {
        await work.build(selection.first)
        rebuilt.take(await work.read(), selection.own, work.failures)
        if (rebuilt.isFinal()) return selection.first.length
        // what is not equal yet may have needed more than its dependencies tell
        await work.build([...selection.rest, ...selection.first.filter(work.hasFailed)])
        rebuilt.take(await work.read(), selection.own, work.failures)
        return selection.first.length + selection.rest.length
      } finally {
        await work.close()
      }
    },
  )
  context.log.info(
    `${database}: ${counted(open.length, 'definition')} printed differently, decided by rebuilding ${counted(entries, 'entry', 'entries')} of the dump's schema in ${((Date.now() - began) / 1000).toFixed(1)} s`,
  )
}

/** A session in the throw-away database, and what became of the entries. */
class Work {
  /** Why an entry could not be rebuilt. */
  readonly failures = new Map<PlannedEntry, string>()
  readonly hasFailed = (one: PlannedEntry) => this.failures.has(one)
  private readonly session: Session
  private readonly plan: RestorePlan
  private readonly context: Context
  private readonly read_: () => Promise<CatalogFingerprint>

  private constructor(
    session: Session,
    plan: RestorePlan,
    context: Context,
    read: () => Promise<CatalogFingerprint>,
  ) {
    this.session = session
    this.plan = plan
    this.context = context
    this.read_ = read
  }

  /** Opens the session that carries out the dump's statements: the one place that says as whom. */
  static async open(
    connection: ConnectionParameters,
    scratch: string,
    plan: RestorePlan,
    context: Context,
  ): Promise<Work> {
    const place = { target: connection, targetName: scratch }
    const session = await Session.open(place, `${sessionPrefix}rebuild`, context.signal)
    const read = () =>
      withSession(
        { connection, database: scratch, role: 'target' },
        context.signal,
        async (client) => texts(client),
      )
    return new Work(session, plan, context, read)
  }

  /** Carries entries out, in their order; one that fails does not keep the others. */
  async build(entries: readonly PlannedEntry[]): Promise<void> {
    const cancel = () => void this.session.cancel()
    this.context.signal.addEventListener('abort', cancel, { once: true })
    try {
      let left = entries.filter((one) => {
        const { fate } = one
        if (fate.kind !== 'leave-out') return true
        if (!fate.there) this.failures.set(one, `${one.name} is left out: ${fate.reason}`)
        return false
      })
      // what failed may have needed what came after it
      for (let before = Number.POSITIVE_INFINITY; left.length > 0 && left.length < before; ) {
        before = left.length
        left = await this.pass(left)
      }
    } finally {
      this.context.signal.removeEventListener('abort', cancel)
    }
  }

  private async pass(entries: readonly PlannedEntry[]): Promise<PlannedEntry[]> {
    const failed: PlannedEntry[] = []
    for (let from = 0; from < entries.length; from += mostTogether) {
      const some = entries.slice(from, from + mostTogether)
      if (await this.together(some)) continue
      for (const one of some) if (!(await this.alone(one))) failed.push(one)
    }
    return failed
  }

  private async together(some: readonly PlannedEntry[]): Promise<boolean> {
    const [first] = some
    const statements = some.map((one) =>
      one.archive === first?.archive ? sqlOf(withoutServer(one), this.plan) : null,
    )
    if (!first || statements.includes(null)) return false
    try {
      const client = await this.session.foreign(first.archive, '')
      await client.query(statements.join('\n;\n'))
    } catch (error) {
      this.rethrow(error)
      return false
    }
    for (const one of some) this.failures.delete(one)
    return true
  }

  private async alone(one: PlannedEntry): Promise<boolean> {
    try {
      await runEntry(this.session, withoutServer(one), this.plan)
      this.failures.delete(one)
      return true
    } catch (error) {
      this.rethrow(error)
      const said = shorten(printable(messageOf(error)), 300)
      this.failures.set(one, `${one.name} could not be rebuilt: ${said}`)
      return false
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

  read(): Promise<CatalogFingerprint> {
    return this.read_()
  }

  async close(): Promise<void> {
    await this.session.close()
  }
}

/** The catalog with its texts in place of their hashes. */
async function texts(client: pg.Client): Promise<CatalogFingerprint> {
  const { number } = await serverVersion(client)
  return readCatalog(client, number, (_, text) => text)
}

async function readTexts(
  { connection, database }: RebuildOptions,
  rebuilt: Rebuilt,
  context: Context,
): Promise<void> {
  if (!rebuilt.hasDifferences()) return
  try {
    const place = { connection, database, role: 'target' } as const
    rebuilt.showTarget(await withSession(place, context.signal, texts))
  } catch (error) {
    if (error instanceof Cancelled || context.signal.aborted) throw new Cancelled()
    if (!(error instanceof Failure) && sqlstateOf(error) === undefined) throw error
    // that they differ is known; how is a help, not the verdict
    context.warn(
      `${database}: both sides of the definitions that differ cannot be shown: ${messageOf(error)}`,
    )
  }
}

/** Facets with their texts, by kind and name. */
type Texts = ReadonlyMap<string, Record<string, string>>

class Rebuilt implements Decisions {
  private readonly open: readonly OpenDefinition[]
  private dump: Texts = new Map()
  private target: Texts = new Map()
  private reasons = new Map<string, string>()
  private refusal: string | null = null
  private shown = 0

  constructor({ open }: RebuildOptions) {
    this.open = open
  }

  /** Takes what the throw-away database holds now. */
  take(
    catalog: CatalogFingerprint,
    own: readonly PlannedEntry[][],
    failures: ReadonlyMap<PlannedEntry, string>,
  ): void {
    this.dump = textsOf(catalog)
    this.reasons = new Map()
    this.open.forEach((definition, index) => {
      const entries = own[index] ?? []
      const reason =
        entries.length === 0
          ? 'the dump has no entry for it'
          : entries.map((one) => failures.get(one)).find((one) => one !== undefined)
      if (reason !== undefined) this.reasons.set(keyOf(definition), reason)
    })
  }

  refuse(reason: string): void {
    this.refusal = `the dump's schema could not be rebuilt on the target: ${shorten(printable(reason), 500)}`
  }

  showTarget(catalog: CatalogFingerprint): void {
    this.target = textsOf(catalog)
  }

  /** Nothing more of the schema could change a decision. */
  isFinal(): boolean {
    return this.open.every((one) => !one.printed || this.decide(one) === 'equal')
  }

  hasDifferences(): boolean {
    return this.open.some((one) => !one.printed || this.decide(one) === 'different')
  }

  decide(open: OpenDefinition): 'equal' | 'different' | { undecided: string } {
    if (this.refusal !== null) return { undecided: this.refusal }
    const reason = this.reasons.get(keyOf(open))
    if (reason !== undefined) return { undecided: reason }
    const text = this.text(this.dump, open)
    if (text === undefined) return { undecided: 'the rebuild of the dump does not have it' }
    return sameText(hashOf(open.facet, text), open.target) ? 'equal' : 'different'
  }

  texts(open: OpenDefinition): { source: string | null; target: string | null } | undefined {
    if (this.target.size === 0 || this.shown >= mostTexts) return undefined
    const known = this.refusal === null && !this.reasons.has(keyOf(open))
    const source = known ? this.text(this.dump, open) : undefined
    const target = this.text(this.target, open)
    // a side that is not known and one that has nothing are not the same: the other says enough
    if (!known || source === target) return undefined
    this.shown++
    const bounded = (text: string | undefined) =>
      text === undefined ? null : shorten(text, mostText)
    return { source: bounded(source), target: bounded(target) }
  }

  private text(texts: Texts, { kind, name, facet }: OpenDefinition): string | undefined {
    // a foreign table is rebuilt as an ordinary one
    const kinds = kind === 'foreign table' ? [kind, 'table'] : [kind]
    const found = kinds.map((one) => texts.get(`${one}\0${name}`)).find((one) => one !== undefined)
    return found?.[facet]?.replace(/^=/, '')
  }
}

function keyOf({ kind, name, facet }: OpenDefinition): string {
  return `${kind}\0${name}\0${facet}`
}

function textsOf({ kinds }: CatalogFingerprint): Texts {
  const result = new Map<string, Record<string, string>>()
  for (const [kind, objects] of Object.entries(kinds)) {
    for (const { name, facets = {} } of objects) result.set(`${kind}\0${name}`, facets)
  }
  return result
}
