/**
 * A STAND-IN for PolarDB, for tests and the demo: no PolarDB is involved. It is a stock PostgreSQL server behind a small
 * front that speaks the wire protocol and gives a customer's account the manners that were observed on PolarDB 11
 * (docs/polardb.md): what it accepts, what it refuses, with which SQLSTATE and words. Where the server is of major 16
 * or newer, roles follow PostgreSQL 16's rules instead, as PolarDB 16 is reported to do.
 *
 * It imitates: (NO)POLAR_SUPERUSER and (NO)SUPERUSER in CREATE and ALTER ROLE with their warnings and side effects; the
 * role pg_polar_superuser; a polar_superuser's privileges on all that belongs or is granted to roles that are no
 * superusers, as if it were a member of each; polar_version, polar_supported_extensions and polar_release_date in
 * current_setting(), SHOW and a comparison with pg_settings.name; the white list of extensions; the predefined roles that
 * may be granted; snapshots that are refused or misread on import, tables with REPLICA IDENTITY FULL, UNLOGGED tables made
 * permanent (each on demand); the superusers aurora, replicator and polardb_admin and the database polardb_admin; databases and
 * objects given to any owner; tablespaces that are never made; event triggers, FOR ALL TABLES publications and system
 * triggers; md5 as password_encryption.
 *
 * It does not imitate: the version (it says the stock server's, in version() too, and knows that version's syntax); the
 * other polar_ settings and views; session_user after SET SESSION AUTHORIZATION (it is SET ROLE in truth); roles set by
 * set_config('role', …); statements in the extended query protocol that would have to be changed (refused with 0A000,
 * never done wrongly); queries beyond 4 MiB (passed on as they are); TLS. pg_stat_activity and the server's log show the
 * procedures that stand in for a changed statement. The memberships that stand in for a polar_superuser's privileges are
 * hidden in pg_auth_members, but seen in views that are made from it, and past the front.
 */
import pg from 'pg'
import { type Snapshots, StandInFront } from './polardb-standin-front.ts'
import type { Manners } from './polardb-standin-roles.ts'
import {
  fullReplicaIdentity,
  standInProcedures,
  supportedExtensions,
} from './polardb-standin-server.ts'
import { type Major, TestServer } from './server.ts'

export { supportedExtensions } from './polardb-standin-server.ts'

export interface StandInOptions {
  /** The stock server's major, 11 or newer. */
  major?: Major
  /** Settings for postgresql.conf, as written there. */
  settings?: Record<string, string>
  /** Names of roles beyond postgres, aurora, replicator and polardb_admin that exist as superusers. */
  superusers?: string[]
  /** Whose rules about roles apply; by default 16's from major 16 on. */
  manners?: Manners
  /**
   * PolarDB 11's defaults that change what is made: every table with REPLICA IDENTITY FULL, UNLOGGED tables permanent.
   * Off by default.
   */
  tableDefaults?: boolean
  /**
   * What an import of a snapshot answers: PolarDB 11 refuses it or takes it for an older moment, by the luck of a digit
   * (see `misread`). By default `good`.
   */
  snapshots?: 'good' | 'refused'
}

export interface PlainOptions {
  settings?: Record<string, string>
  /** Where the server's programs are, instead of the embedded ones. */
  programs?: string
  /** The superusers aurora, replicator and polardb_admin, and the database polardb_admin. */
  systemRoles?: boolean
  /** The schema polar_feature_utils, in every new database, with OIDs below 16384. */
  featureUtils?: boolean
}

const accountName = 'gctest'
const accountPassword = 'Migr4te me/now'

/** Where tests connect as the migrating account. */
abstract class Target {
  readonly account = accountName
  readonly password = accountPassword
  /** The real server, for the superuser; with the stand-in its connections go through the front too. */
  readonly backend: TestServer
  readonly port: number

  protected constructor(backend: TestServer, port: number) {
    this.backend = backend
    this.port = port
  }

  /** A connection URI for the account, or for somebody else. */
  uri(
    database = 'postgres',
    user: string = this.account,
    password: string = this.password,
  ): string {
    const [u, p, d] = [user, password, database].map(encodeURIComponent)
    return `postgresql://${u}:${p}@127.0.0.1:${this.port}/${d}?sslmode=disable`
  }

  /** A connected client: the account's, unless the configuration says otherwise. */
  async connect(database = 'postgres', config: pg.ClientConfig = {}): Promise<pg.Client> {
    return this.backend.connect(database, {
      port: this.port,
      user: this.account,
      password: this.password,
      ...config,
    })
  }

  abstract stop(): Promise<void>
}

/** The stand-in for PolarDB, running. Its account is a polar_superuser, as the cloud console makes them. */
export class PolarStandIn extends Target {
  readonly #front: StandInFront
  readonly #snapshots: Snapshots
  readonly #old: pg.Client[] = []

  private constructor(
    backend: TestServer,
    front: StandInFront,
    port: number,
    snapshots: Snapshots,
  ) {
    super(backend, port)
    this.#front = front
    this.#snapshots = snapshots
  }

  static async start(options: StandInOptions = {}): Promise<PolarStandIn> {
    const major = options.major ?? 15
    const manners = options.manners ?? (major >= 16 ? 16 : 11)
    const list = supportedExtensions.join('\\n')
    const defaults = options.tableDefaults && manners === 11
    const procedures = [
      ...standInProcedures(major, manners),
      ...(defaults ? fullReplicaIdentity : []),
    ]
    const backend = await TestServer.start(major, {
      settings: {
        'polar.version': manners === 11 ? "'1.1.20'" : `'2.0.${major}.2.0'`,
        'polar.release_date': "'20220831'",
        'polar.supported_extensions': `'${list}'`,
        ...(manners === 11 ? { 'polar.csn_enable': 'on' } : {}),
        ...(defaults ? tableDefaults : {}),
        ...(manners === 11 ? { password_encryption: 'md5' } : {}),
        ...options.settings,
      },
      initial: [
        { database: 'template0', statements: procedures },
        { database: 'template1', statements: procedures },
        { database: 'postgres', statements: [...procedures, ...polarRole] },
      ],
    })
    try {
      await systemRoles(backend, options.superusers)
      await createAccount(backend)
      await backend.sql(`GRANT pg_polar_superuser TO ${accountName};
        COMMENT ON ROLE ${accountName} IS 'polar_superuser'`)
      const snapshots = { refused: options.snapshots === 'refused', older: new Map() }
      const front = new StandInFront(backend, snapshots)
      backend.frontPort = await front.listen()
      return new PolarStandIn(backend, front, backend.frontPort, snapshots)
    } catch (error) {
      await backend.stop()
      throw error
    }
  }

  /**
   * From now on an import of any snapshot in this database silently means the present moment, which is older than what is
   * committed later: as PolarDB 11 does while another transaction is open.
   */
  async misread(database: string): Promise<void> {
    const client = await this.backend.connect(database, { port: this.backend.port })
    this.#old.push(client)
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    const { rows } = await client.query<{ id: string }>('SELECT pg_export_snapshot() AS id')
    this.#snapshots.older.set(database, rows[0]?.id ?? '')
  }

  async stop(): Promise<void> {
    for (const client of this.#old) await client.end()
    await this.#front.close()
    await this.backend.stop()
  }
}

const tableDefaults = {
  'polar.create_table_with_full_replica_identity': 'on',
  'polar.force_unlogged_to_logged_table': 'on',
}

/** A stock server with a CREATEROLE CREATEDB account: PolarDB 15 treats roles and restores the same. */
export class PlainTarget extends Target {
  static async start(major: Major, options: PlainOptions): Promise<PlainTarget> {
    const databases = ['template0', 'template1', 'postgres']
    const backend = await TestServer.start(major, {
      settings: {
        ...(major < 16 ? { password_encryption: 'md5' } : {}),
        ...options.settings,
      },
      ...(options.programs === undefined ? {} : { programs: options.programs }),
      initial: options.featureUtils
        ? databases.map((database) => ({ database, statements: featureUtils }))
        : [],
    })
    try {
      if (options.systemRoles) await systemRoles(backend)
      await createAccount(backend)
    } catch (error) {
      await backend.stop()
      throw error
    }
    return new PlainTarget(backend, backend.port)
  }

  async stop(): Promise<void> {
    await this.backend.stop()
  }
}

/** Starts a target without any of PolarDB 11's manners. */
export async function startPlainTarget(
  major: Major = 15,
  options: PlainOptions = {},
): Promise<PlainTarget> {
  return PlainTarget.start(major, options)
}

async function createAccount(backend: TestServer): Promise<void> {
  const password = pg.escapeLiteral(accountPassword)
  await backend.sql(`CREATE ROLE ${accountName} LOGIN CREATEROLE CREATEDB PASSWORD ${password}`)
}

async function systemRoles(backend: TestServer, more: string[] = []): Promise<void> {
  const names = ['aurora', 'replicator', 'polardb_admin', ...more]
  await backend.sql(
    names.map((name) => `CREATE ROLE ${pg.escapeIdentifier(name)} SUPERUSER LOGIN;`).join('\n'),
  )
  await backend.sql('CREATE DATABASE polardb_admin OWNER polardb_admin')
  await backend.sql('REVOKE CONNECT ON DATABASE polardb_admin FROM PUBLIC')
}

/** CREATE ROLE refuses the prefix pg_, a change of the catalog does not. */
const polarRole = [
  'CREATE ROLE polar_superuser',
  "UPDATE pg_authid SET rolname = 'pg_polar_superuser' WHERE rolname = 'polar_superuser'",
]

const featureUtils = [
  'CREATE SCHEMA polar_feature_utils',
  'CREATE VIEW polar_feature_utils.polar_unique_feature_usage AS SELECT 1 AS feature',
  "CREATE FUNCTION polar_feature_utils.polar_feature() RETURNS int LANGUAGE sql AS 'SELECT 1'",
]
