import { describe, expect, test } from '@jest/globals'
import {
  knownVulnerability,
  parseProgramVersion,
  semanticVersion,
  wantedClient,
} from '../../src/postgres/programs/clients/versions.ts'
import { versionOfNumber } from '../../src/postgres/version.ts'
import { failureThrown } from '../support/failure.ts'

const failure = (work: () => unknown): string => failureThrown(work).line

describe('the client that a source needs', () => {
  test.each([
    [180_001, '18'],
    [150_020, '15'],
    [100_023, '10'],
    [90_624, '9.6'],
    [90_300, '9.3'],
  ])('of server version %i is its own major %s', (number, major) => {
    expect(wantedClient(versionOfNumber(number))).toEqual({ majors: [major], warnings: [] })
  })

  test('of 9.2 is the nearest newer one that can dump in parallel', () => {
    const wanted = wantedClient(versionOfNumber(90_224))
    expect(wanted.majors).toEqual(['9.3', '9.4', '9.5', '9.6', '10', '11', '12', '13', '14'])
    expect(wanted.warnings).toEqual([expect.stringContaining('nearest newer ones')])
  })

  test('before 9.2 comes with a warning that nothing may write during a parallel dump', () => {
    for (const number of [90_124, 80_422, 80_400]) {
      const wanted = wantedClient(versionOfNumber(number))
      expect(wanted.majors.at(0)).toBe('9.3')
      expect(wanted.majors.at(-1)).toBe('14')
      expect(wanted.warnings).toEqual([
        expect.stringContaining('began with 9.3'),
        expect.stringContaining('only if nothing writes to the source'),
      ])
    }
  })

  test('before 8.4 does not exist', () => {
    for (const number of [70_430, 80_300, 80_323]) {
      expect(failure(() => wantedClient(versionOfNumber(number)))).toMatch(
        /too old to be migrated.*No source before 8\.4.*8\.4 or newer/s,
      )
    }
  })

  test('is another newer one when client-version asks for it, with a warning', () => {
    const wanted = wantedClient(versionOfNumber(130_022), '17')
    expect(wanted.majors).toEqual(['17'])
    expect(wanted.warnings).toEqual([expect.stringMatching(/of PostgreSQL 17.*source is of 13/)])
  })

  test('gives no warning when client-version asks for the own major of the source', () => {
    expect(wantedClient(versionOfNumber(130_022), '13')).toEqual({ majors: ['13'], warnings: [] })
  })

  test.each([
    ['15.4', 150_004, /no major version/],
    ['latest', 150_004, /no major version/],
    ['9.7', 90_600, /no major version/],
    ['14', 150_004, /refuses servers newer than itself/],
    ['9.6', 100_000, /refuses servers newer than itself/],
    ['9.2', 90_100, /in parallel from 9\.3 on/],
    ['15', 90_124, /before 9\.2 only up to version 14/],
  ])('cannot be client-version %s for server version %i', (version, number, why) => {
    const line = failure(() => wantedClient(versionOfNumber(number), version))
    expect(line).toMatch(why)
    expect(line).toContain(`client-version ${version}`)
  })
})

describe('the version of a program', () => {
  test.each([
    ['pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n', '15', '15.20', '15.20.0'],
    ['psql (PostgreSQL) 9.6.24\n', '9.6', '9.6.24', '9.6.24'],
    ['pg_restore (PostgreSQL) 18.6 (Ubuntu 18.6-1.pgdg24.04+1)', '18', '18.6', '18.6.0'],
    ['pg_dumpall (PostgreSQL) 19beta1', '19', '19beta1', '19.0.0-beta1'],
    ['pg_dump (PostgreSQL) 19devel', '19', '19devel', '19.0.0-devel'],
  ])('is read from %j', (output, majorName, version, semantic) => {
    expect(parseProgramVersion(output)).toMatchObject({ majorName, version })
    expect(semanticVersion(version)).toBe(semantic)
  })

  test.each(['', 'pg_dump (EnterpriseDB) 15.3', 'pg_dump 15', 'GNU bash, version 5'])(
    'is not read from %j',
    (output) => expect(parseProgramVersion(output)).toBeUndefined(),
  )
})

describe('a known vulnerability', () => {
  test.each([
    ['13', 22],
    ['14', 19],
    ['15', 14],
    ['16', 10],
    ['17', 6],
  ])('of %s is fixed in minor %i, which the warning names', (majorName, minor) => {
    const of = (patch: number) => versionOfNumber(Number(majorName) * 10_000 + patch)
    const before = knownVulnerability(of(minor - 1))
    expect(before).toContain(`fixed in ${majorName}.${minor}`)
    expect(before).toContain('CVE-2025-8714')
    expect(knownVulnerability(of(minor))).toBeUndefined()
  })

  test('was never fixed in majors that were retired before', () => {
    expect(knownVulnerability(versionOfNumber(120_022))).toMatch(/never fixed/)
    expect(knownVulnerability(versionOfNumber(90_624))).toMatch(/never fixed/)
  })

  test('is not known of 18 and newer', () => {
    expect(knownVulnerability(versionOfNumber(180_000))).toBeUndefined()
    expect(knownVulnerability(versionOfNumber(190_000, '19beta1'))).toBeUndefined()
  })
})
