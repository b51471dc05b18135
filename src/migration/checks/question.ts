import type pg from 'pg'

/** What a question must know of the server to be put in words that it understands. */
export interface About {
  /** `server_version_num` */
  number: number
  major: number
  /** `polar_version`, null on a server that is no PolarDB. */
  polardb: string | null
  /** Whether the account is a superuser. */
  superuser: boolean
}

interface Facts<Row> {
  /** Unique among all questions: messages name it. */
  id: string
  /** Asked once a server, or once in each database that is migrated. */
  scope: 'server' | 'database'
  /** Only says what the rows are; it has no value. */
  row?: Row
}

/**
 * Something that is asked of a server once, whoever wants to know. It only reads, and works on every server from 8.4 on.
 * Each question is a transaction of its own, so that one that fails spoils no other.
 */
export type Question<Row extends object> = Facts<Row> &
  (
    | {
        /** The statement; undefined where the question does not arise on such a server, and no row is the answer. */
        sql(about: About): string | undefined
      }
    | {
        /** Where one statement is not enough. The session is read-only and safe; see connect(). */
        read(client: pg.Client, about: About): Promise<Row[]>
        /** It changes the session's settings meanwhile, so that nothing else may be under way in it. */
        alone?: true
      }
  )

/** A question that could not be asked. No judgement may be made without its answer. */
export class NotAsked extends Error {
  override readonly name = 'NotAsked'
}
