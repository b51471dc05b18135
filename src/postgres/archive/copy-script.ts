import { copyStatementAt } from './check.ts'

/** Bytes of rows; `whole` where a row ends with them. */
export interface Rows {
  bytes: Buffer
  whole: boolean
}

/** A script holds something that no pg_restore is known to write. */
export class UnknownScript extends Error {
  override readonly name = 'UnknownScript'
}

/** Bytes that may come before the COPY statement, itself included: 1,600 columns with names of 63 characters, and some settings. */
const mostBefore = 4 * 1024 * 1024

/**
 * What pg_restore writes before a COPY statement (PostgreSQL source, pg_backup_archiver.c: RestoreArchive, _doSetFixedOutputState,
 * _printTocEntry). The session that takes the rows has settings of its own, so none of it is run.
 */
const before =
  /^(--.*|\\restrict \w+|SET \w+ = [^;]*;|SELECT pg_catalog\.set_config\('search_path', '', false\);)?$/

const newline = 0x0a
const backslash = 0x5c
const end = Buffer.from('\\.\n')
const lineThenEnd = Buffer.from('\n\\.\n')

/**
 * Takes the rows out of the script that `pg_restore --file=-` writes for the data of one table, or out of its data file, and says where
 * one of them ends.
 *
 * In COPY's text format a newline in a value is written as a backslash and an `n`, so a line is a row (PostgreSQL, "COPY", Text
 * Format; source, copyto.c: CopyAttributeOutText). A newline after a backslash is one that an old program has written for a
 * newline in a value, so it is no end of a row. Bytes are looked at and not characters: in no encoding is a newline a part of
 * another character, but a backslash may be, in those that no server stores (SJIS, BIG5, GBK, UHC, GB18030, JOHAB, SHIFT_JIS_2004).
 * There an end of a row may be taken for none, which leaves two rows together, and the other way round it is never.
 */
export class CopyScript {
  private readonly isStatement: (statement: Buffer) => boolean
  private head: Buffer | undefined
  private held = Buffer.alloc(0)
  /** What was read last ends with a newline. */
  private lineBegins = true
  /** The row that has begun before ends, so far, with an odd number of backslashes. */
  private odd = false
  /** The line that ends the rows has come. */
  isComplete = false

  /**
   * @param isStatement says whether a COPY statement, its newline included, is the one that is expected. Without it there is none
   *   before the rows: a data file of pg_dump holds nothing but them and the line that ends them
   */
  constructor(isStatement?: (statement: Buffer) => boolean) {
    this.isStatement = isStatement ?? (() => false)
    this.head = isStatement && Buffer.alloc(0)
  }

  /**
   * @param chunk the next bytes of the script
   * @returns the rows in it; what is no row is left out
   * @throws UnknownScript where something else comes before the rows than is known, or another statement
   */
  read(chunk: Buffer): Rows[] {
    if (this.isComplete) return []
    if (this.head === undefined) return this.rows(chunk)
    this.head = Buffer.concat([this.head, chunk])
    const rest = this.afterStatement(this.head)
    if (rest === undefined) {
      if (this.head.length > mostBefore) throw new UnknownScript('no COPY statement came')
      return []
    }
    this.head = undefined
    return this.rows(rest)
  }

  private afterStatement(head: Buffer): Buffer | undefined {
    for (let from = 0; ; ) {
      const to = head.indexOf(newline, from)
      if (head.toString('latin1', from, from + 5) === 'COPY ') {
        const length = copyStatementAt(head.toString('latin1', from))?.length
        if (length === undefined) return undefined
        if (!this.isStatement(head.subarray(from, from + length)))
          throw new UnknownScript('another COPY statement came than the table of contents has')
        return head.subarray(from + length)
      }
      if (to < 0) return undefined
      if (!before.test(head.toString('latin1', from, to)))
        throw new UnknownScript('something else than settings came before the rows')
      from = to + 1
    }
  }

  private rows(chunk: Buffer): Rows[] {
    const data = this.held.length > 0 ? Buffer.concat([this.held, chunk]) : chunk
    this.held = Buffer.alloc(0)
    const ended = this.endIn(data)
    if (ended !== undefined) {
      this.isComplete = true
      return ended > 0 ? [{ bytes: data.subarray(0, ended), whole: true }] : []
    }
    const body = this.holdBack(data)
    if (body.length === 0) return []
    let last = body.lastIndexOf(newline)
    while (last >= 0 && this.isEscaped(body, last)) {
      last = body.subarray(0, last).lastIndexOf(newline)
    }
    const [whole, rest] = [body.subarray(0, last + 1), body.subarray(last + 1)]
    this.odd = rest.length > 0 && this.isEscaped(body, body.length)
    this.lineBegins = body.at(-1) === newline
    return [
      ...(whole.length > 0 ? [{ bytes: whole, whole: true }] : []),
      ...(rest.length > 0 ? [{ bytes: rest, whole: false }] : []),
    ]
  }

  /** Where the line that ends the rows begins: no row has one like it, since a backslash in a value is doubled. */
  private endIn(data: Buffer): number | undefined {
    if (this.lineBegins && data.subarray(0, end.length).equals(end)) return 0
    const at = data.indexOf(lineThenEnd)
    return at < 0 ? undefined : at + 1
  }

  /** Keeps what may be the beginning of that line until more comes. */
  private holdBack(data: Buffer): Buffer {
    const line = data.lastIndexOf(newline) + 1
    const tail = data.subarray(line)
    const mayEnd = tail.length < end.length && end.subarray(0, tail.length).equals(tail)
    if (!mayEnd || (line === 0 && !this.lineBegins)) return data
    this.held = Buffer.from(tail)
    return data.subarray(0, line)
  }

  /** Whether an odd number of backslashes stands before a place. */
  private isEscaped(data: Buffer, at: number): boolean {
    let first = at
    while (first > 0 && data[first - 1] === backslash) first--
    const isOdd = (at - first) % 2 === 1
    return first === 0 && this.odd ? !isOdd : isOdd
  }
}
