import { expect, test } from '@jest/globals'
import { artifactName, otherArtifactNames } from '../../src/migration/kept/artifact-name.ts'

const database = (source: string) => ({ source, target: 'elsewhere' })
const name = (roles: 'migrate' | 'skip' | 'only', ...sources: string[]) =>
  artifactName({ artifactName: undefined, roles, databases: sources.map(database) })

test('a dump is called by what is in it, and by nothing but the inputs', () => {
  expect(name('migrate', 'shop')).toBe('polardb-dump')
  expect(name('skip')).toBe('polardb-dump')
  expect(name('skip', 'shop', 'ledger')).toBe('polardb-dump')
  expect(name('skip', 'shop')).toBe('polardb-dump-shop')
  const all = { artifactName: undefined, databases: 'all', roles: 'skip' } as const
  expect(artifactName(all)).toBe('polardb-dump')
  expect(artifactName({ ...all, databases: 'none', roles: 'only' })).toBe('polardb-dump-roles')
})

test('names of databases that an artifact cannot have are cut down, and no two to the same', () => {
  const names = ['a/b', 'a:b', 'Shop', 'shop', 'a'.repeat(63), 'ü', '../x', 'a\nb'].map((one) =>
    name('skip', one),
  )
  for (const one of names) expect(one).toMatch(/^polardb-dump-[\w.-]{1,100}$/)
  expect(new Set(names.map((one) => one.toLowerCase())).size).toBe(names.length)
})

test('a name that was given is the only one', () => {
  const given = { artifactName: 'mine', databases: [database('shop')], roles: 'skip' as const }
  expect([artifactName(given), otherArtifactNames(given)]).toEqual(['mine', []])
  const own = { ...given, artifactName: undefined }
  expect(otherArtifactNames(own)).toEqual(['polardb-dump'])
  expect(otherArtifactNames({ ...own, roles: 'migrate' })).toEqual([])
})
