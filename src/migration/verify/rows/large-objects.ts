import { createHash } from 'node:crypto'
import type pg from 'pg'
import * as v from 'valibot'
import { type RoleNames, sameRoleNames } from '../../../postgres/roles/role-names.ts'
import { count, digits, fields, list as listOf, text } from '../../kept/schema.ts'
import { aclDifference, explodeAcl } from '../catalog/acl.ts'
import { aclOf } from '../catalog/role-reader.ts'
import { inTransaction, isUnreadable, reasonOf } from '../read-session.ts'
import { hashOfBytes } from './digest.ts'
import type { ReadPlan, Task } from './readers.ts'

/** Large objects of neighbouring OIDs and the sum of their digests. The first range begins at 0, whatever it says. */
const largeObjectRange = fields({
  from: count,
  to: count,
  count,
  /** Absent where they are only counted. */
  digest: v.exactOptional(digits),
  /** Why some of them could not be read. */
  unreadable: v.exactOptional(text),
})
export type LargeObjectRange = v.InferOutput<typeof largeObjectRange>

/** Large objects of one owner and one ACL. */
const largeObjectGroup = fields({
  owner: text,
  acl: listOf(text),
  count,
  /** Which ones: the sum of a hash of each OID. */
  which: digits,
})
export type LargeObjectGroup = v.InferOutput<typeof largeObjectGroup>

export const largeObjectsFingerprint = fields({
  count,
  ranges: listOf(largeObjectRange),
  groups: listOf(largeObjectGroup),
  /** How many have a comment, and the sum of a hash of each. */
  comments: fields({ count, digest: digits }),
})
export type LargeObjectsFingerprint = v.InferOutput<typeof largeObjectsFingerprint>

interface LargeObject {
  oid: number
  owner: string
}

/** Up to so many ranges name a differing large object exactly; with more objects, a range holds several. */
const mostRanges = 10_000
const perTask = 200
/** Bytes read at a time: an object may be larger than the server's memory. */
const chunk = 1_048_576
const page = 20_000
const mostOid = 2 ** 32 - 1

/**
 * Lists the large objects and prepares the reading of their contents: every byte through the functions for large objects,
 * since only a superuser may read `pg_largeobject` itself.
 *
 * @param source on the target: the ranges that the source's fingerprint chose
 * @param names on the target: what the source's roles are called there
 */
export async function largeObjectWork(
  plan: ReadPlan,
  source: LargeObjectsFingerprint | undefined,
  leader: pg.Client,
  names: RoleNames = sameRoleNames,
): Promise<{ tasks: Task[]; result: LargeObjectsFingerprint }> {
  const { objects, groups, comments } = await list(leader, plan.server, names)
  const ranges = rangesOf(objects, source)
  const result: LargeObjectsFingerprint = { count: objects.length, ranges, groups, comments }
  if (plan.method === null) return { tasks: [], result }

  const size = await leader.query<{ bytes: string }>(
    // pg_table_size came with 9.0, and large objects are not TOASTed
    `SELECT pg_catalog.pg_relation_size('pg_catalog.pg_largeobject'::pg_catalog.regclass)::pg_catalog.text AS bytes`,
  )
  const bytes = Number(size.rows[0]?.bytes ?? 0) / Math.max(objects.length, 1)
  for (const range of ranges) range.digest = '0'
  const tasks: Task[] = []
  for (let at = 0; at < objects.length; at += perTask) {
    const some = objects.slice(at, at + perTask)
    tasks.push({
      name: 'large objects',
      bytes: bytes * some.length,
      run: async (client) => {
        const unreadable = (oid: number, reason: string) => {
          rangeOf(ranges, oid).unreadable ??= reason
        }
        for (const [oid, digest] of await digests(client, plan, some, unreadable)) {
          const range = rangeOf(ranges, oid)
          range.digest = String(BigInt(range.digest ?? 0) + digest)
        }
        return { rows: 0, tables: 0 }
      },
    })
  }
  return { tasks, result }
}

async function list(leader: pg.Client, server: number, names: RoleNames) {
  const reader = { name: (role: string) => names.onSource(role) }
  const objects: LargeObject[] = []
  const groups = new Map<string, LargeObjectGroup>()
  const comments = { count: 0, digest: 0n }
  const sums = new Map<string, bigint>()
  for (let after = 0; ; after = objects.at(-1)?.oid ?? 0) {
    // before 9.0 they belonged to nobody, and everybody could read and write them
    const from =
      server >= 90_000
        ? 'pg_catalog.pg_largeobject_metadata'
        : '(SELECT o.oid, NULL::pg_catalog.aclitem[] AS lomacl FROM (SELECT DISTINCT loid AS oid FROM pg_catalog.pg_largeobject) o)'
    const owner =
      server >= 90_000
        ? 'pg_catalog.pg_get_userbyid(l.lomowner)::pg_catalog.text'
        : `''::pg_catalog.text`
    const { rows } = await leader.query<{
      oid: string
      owner: string
      acl: string[] | null
      comment: string | null
    }>(
      `SELECT l.oid::pg_catalog.text AS oid, ${owner} AS owner, ${explodeAcl('l.lomacl', server)} AS acl,
              c.description AS comment
         FROM ${from} l
         LEFT JOIN pg_catalog.pg_description c
           ON c.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass AND c.objoid = l.oid AND c.objsubid = 0
        WHERE l.oid > $1::pg_catalog.oid ORDER BY l.oid LIMIT ${page}`,
      [after],
    )
    for (const { oid, owner, acl, comment } of rows) {
      objects.push({ oid: Number(oid), owner })
      const called = reader.name(owner)
      const lines = aclDifference(aclOf(acl, reader), called, 'large object')
      const key = JSON.stringify([called, lines])
      const group = groups.get(key) ?? { owner: called, acl: lines, count: 0, which: '' }
      group.count += 1
      groups.set(key, group)
      sums.set(key, (sums.get(key) ?? 0n) + hash64(oid))
      if (comment !== null) {
        comments.count += 1
        comments.digest += hash64(`${oid} ${comment}`)
      }
    }
    if (rows.length < page) break
  }
  for (const [key, group] of groups) group.which = String(sums.get(key) ?? 0n)
  return {
    objects,
    groups: [...groups.values()],
    comments: { count: comments.count, digest: String(comments.digest) },
  }
}

/** Consecutive ranges over all OIDs, so that an object too many falls into one as well. */
function rangesOf(
  objects: LargeObject[],
  source: LargeObjectsFingerprint | undefined,
): LargeObjectRange[] {
  const ranges: LargeObjectRange[] = []
  if (source) ranges.push(...source.ranges.map(({ from, to }) => ({ from, to, count: 0 })))
  else {
    const step = Math.ceil(objects.length / mostRanges)
    for (let at = 0; at < objects.length; at += step) {
      const next = objects[at + step]?.oid
      const to = next === undefined ? mostOid : next - 1
      ranges.push({ from: objects[at]?.oid ?? 0, to, count: 0 })
    }
  }
  if (ranges.length === 0) ranges.push({ from: 0, to: mostOid, count: 0 })
  for (const { oid } of objects) rangeOf(ranges, oid).count += 1
  return ranges
}

function rangeOf(ranges: LargeObjectRange[], oid: number): LargeObjectRange {
  let [low, high] = [0, ranges.length - 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((ranges[middle]?.to ?? 0) < oid) low = middle + 1
    else high = middle
  }
  const range = ranges[low]
  if (!range) throw new Error(`no range holds the large object ${oid}`)
  return range
}

async function digests(
  client: pg.Client,
  plan: ReadPlan,
  objects: LargeObject[],
  unreadable: (oid: number, reason: string) => void,
): Promise<Map<number, bigint>> {
  const result = new Map<number, bigint>()
  // one owner at a time: an account without SELECT on them reads them as their owner
  for (const owner of new Set(objects.map((object) => object.owner))) {
    const oids = objects.filter((object) => object.owner === owner).map(({ oid }) => oid)
    const what = `The large objects ${oids[0]} to ${oids.at(-1)} of "${owner}"`
    const object = { what, grant: 'SELECT on the large objects', owner }
    const read = () => client.query<{ oid: string; digest: string }>(digestQuery(plan), [oids])
    let rows: { oid: string; digest: string }[]
    try {
      rows = (await inTransaction(client, plan, object, read)).rows
    } catch (error) {
      if (!isUnreadable(error)) throw error
      for (const oid of oids) unreadable(oid, `${what}: ${reasonOf(error)}`)
      continue
    }
    if (rows.length !== oids.length) throw new Error(`${what}: the server left some of them out`)
    for (const { oid, digest } of rows) result.set(Number(oid), BigInt(digest))
  }
  return result
}

/** Every object's size, then its bytes chunk by chunk; holes read as zeros, as they do for everybody. */
function digestQuery({ server, method }: ReadPlan): string {
  const seek = server >= 90300 ? 'pg_catalog.lo_lseek64' : 'pg_catalog.lo_lseek'
  const read = 0x40000 // INV_READ (libpq-fs.h)
  // OFFSET 0 keeps each call in its own step, in this order and once
  const opened = `SELECT o.oid, pg_catalog.lo_open(o.oid, ${read}) AS fd FROM pg_catalog.unnest($1::pg_catalog.oid[]) o(oid) OFFSET 0`
  const sized = `SELECT a.oid, a.fd, ${seek}(a.fd, 0, 2)::bigint AS size FROM (${opened}) a OFFSET 0`
  const parts = `SELECT s.oid, s.fd, s.size, pg_catalog.generate_series(0::bigint, s.size / ${chunk}) AS part FROM (${sized}) s OFFSET 0`
  const place = `p.part * ${chunk}`
  const bytes = `CASE WHEN ${seek}(p.fd, ${server >= 90300 ? place : `(${place})::int`}, 0) >= 0 THEN pg_catalog.loread(p.fd, ${chunk}) END`
  const values = [
    'pg_catalog.oidsend(p.oid)',
    'pg_catalog.int8send(p.size)',
    'pg_catalog.int8send(p.part)',
    bytes,
  ]
  const hashed = `SELECT p.oid, ${hashOfBytes(values, method ?? 'hash')} AS hash FROM (${parts}) p OFFSET 0`
  return `SELECT h.oid::pg_catalog.text AS oid, pg_catalog.sum(h.hash)::pg_catalog.text AS digest FROM (${hashed}) h GROUP BY h.oid`
}

function hash64(text: string): bigint {
  return createHash('sha256').update(text).digest().readBigUInt64BE()
}
