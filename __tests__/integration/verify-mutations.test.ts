import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import { TestServer } from '../support/server.ts'
import { copyDatabase, createRichDatabase, tablePerType } from '../support/verify-database.ts'
import { catalogMutations, type Mutation, rowMutations } from '../support/verify-mutations.ts'
import { compareWith, differencesIn, fingerprintOf } from '../support/verify-run.ts'

let server: TestServer
let source: DatabaseFingerprint
let copies = 0

beforeAll(async () => {
  server = await TestServer.start(15, { settings: { wal_level: 'logical' } })
  await createRichDatabase(server, 'rich', 15)
  source = await fingerprintOf(server, 'rich', { targetMajor: 15 })
})

afterAll(() => server?.stop())

test('the untouched copy of a rich database compares equal', async () => {
  await copyDatabase(server, 'rich', 'untouched')
  const comparison = await compareWith(source, server, 'untouched')
  expect(differencesIn(comparison)).toEqual([])
  expect(comparison).toMatchObject({ equal: true, verified: true })
})

test('the least change in one value of every built-in type is found', async () => {
  await copyDatabase(server, 'rich', 'types_before')
  const { create, change, names } = tablePerType(15)
  await server.sql(create, 'types_before')
  const before = await fingerprintOf(server, 'types_before', { targetMajor: 15 })
  await copyDatabase(server, 'types_before', 'types_after')
  expect(differencesIn(await compareWith(before, server, 'types_after'))).toEqual([])
  await server.sql(change, 'types_after')
  const found = differencesIn(await compareWith(before, server, 'types_after'))
  expect(found).toEqual(names.map((name) => `table types.${name}: rows`).sort())
})

/** What a difference is about: there is one database, and a large object too many is in the range of another. */
function objectOf(found: string): string {
  return /^database|^large object \d+|^[^:]*/.exec(found)?.[0] ?? found
}

/** Mutations of different objects are made together, in one copy: what each does is still told apart. */
function grouped(mutations: Mutation[]): Mutation[][] {
  const groups: { objects: Set<string>; mutations: Mutation[] }[] = []
  for (const mutation of mutations) {
    const objects = mutation.found.map(objectOf)
    const free = groups.find((group) => objects.every((object) => !group.objects.has(object)))
    const group = free ?? { objects: new Set<string>(), mutations: [] }
    if (!free) groups.push(group)
    group.mutations.push(mutation)
    for (const object of objects) group.objects.add(object)
  }
  return groups.map(({ mutations }) => mutations)
}

describe.each(grouped([...rowMutations, ...catalogMutations]))('copy %#', (...group) => {
  let found: string[]
  beforeAll(async () => {
    const copy = `copy_${++copies}`
    await copyDatabase(server, 'rich', copy)
    for (const { sql } of group) await server.sql(sql, copy)
    found = differencesIn(await compareWith(source, server, copy))
  })
  test.each(group)('$name is found and named', (mutation) => {
    expect(found).toEqual(expect.arrayContaining(mutation.found))
  })
  test('nothing else is', () => {
    expect(found).toEqual(group.flatMap((mutation) => mutation.found).sort())
  })
})
