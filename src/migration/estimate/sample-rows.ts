// as a whole: a Node too old for zstd is told so elsewhere, and must get as far as that
import zlib from 'node:zlib'
import type pg from 'pg'
import { copyOut } from '../../postgres/copy.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import type { Context } from '../context.ts'

/** How a dump is compressed, as far as it can be done here as well. */
export interface SampleCompression {
  method: 'none' | 'gzip' | 'lz4' | 'zstd'
  level: number | undefined
}

/**
 * Reads what a COPY sends, up to so many bytes and a row's worth more: then the session is given up.
 *
 * @returns whole rows, and the seconds that they took; undefined where there are none
 */
export async function readSome(
  client: pg.Client,
  statement: string,
  most: number,
  context: Pick<Context, 'signal' | 'log'>,
): Promise<{ raw: Buffer; seconds: number } | undefined> {
  const chunks: Buffer[] = []
  let [bytes, rows, first] = [0, 0, 0]
  let last = 0
  const take = (chunk: Buffer) => {
    last = performance.now()
    if (bytes === 0) first = last
    // a row that goes over the limit says as much as those before it
    if (bytes >= most) client.connection.stream.destroy(new Error('enough'))
    bytes += chunk.length
    rows += newlines(chunk)
    // `pg` writes what comes next over what it has handed out
    chunks.push(Buffer.from(chunk))
  }
  const began = performance.now()
  try {
    await copyOut(client, statement, take)
  } catch (error) {
    context.signal.throwIfAborted()
    // what came in time, or within the limit, is a sample as well
    if (rows === 0 || !(bytes >= most || sqlstateOf(error) === '57014')) {
      if (sqlstateOf(error) === undefined) throw error
      // the account may not read it, or it is gone by now; the reason may quote what the table holds
      context.log.debug(`A table of the sample was passed over: ${sqlstateOf(error)}`)
      return undefined
    }
  }
  if (rows === 0) return undefined
  // the first row's way says nothing about speed, unless there is no other
  const seconds = Math.max(1e-6, (last - (last > first ? first : began)) / 1000)
  return { raw: Buffer.concat(chunks), seconds }
}

/** Rows in the text format, where a line break in a value is written `\n` (PostgreSQL, "COPY", Text Format). */
export function newlines(chunk: Buffer): number {
  let found = 0
  for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) found++
  return found
}

/**
 * Bytes that are left. lz4, which Node does not have, only finds repetitions, and writes as it is whatever it has not seen before: so
 * does deflate with a fixed code, nearly.
 */
export function compress(raw: Buffer, { method, level }: SampleCompression): number {
  const { constants } = zlib
  switch (method) {
    case 'none':
      return raw.length
    case 'gzip':
      return zlib.deflateSync(raw, { level: level ?? constants.Z_DEFAULT_COMPRESSION }).length
    case 'lz4':
      return zlib.deflateSync(raw, { level: constants.Z_BEST_SPEED, strategy: constants.Z_FIXED })
        .length
    case 'zstd': {
      const params = { [constants.ZSTD_c_compressionLevel]: level ?? constants.ZSTD_CLEVEL_DEFAULT }
      return zlib.zstdCompressSync(raw, { params }).length
    }
  }
}

/** What `--compress=…` asks of pg_dump, in the forms that compressionArguments writes. */
export function sampleCompression(argument: string): SampleCompression {
  const wish = argument.replace('--compress=', '')
  if (/^\d+$/.test(wish)) return { method: wish === '0' ? 'none' : 'gzip', level: Number(wish) }
  const [method = '', level] = wish.split(':')
  if (method !== 'gzip' && method !== 'lz4' && method !== 'zstd') {
    throw new TypeError(`unknown compression ${argument}`)
  }
  return { method, level: level === undefined ? undefined : Number(level) }
}
