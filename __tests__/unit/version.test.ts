import { describe, expect, test } from '@jest/globals'
import { isMajorName, majorOf, parseVersion, versionOfNumber } from '../../src/postgres/version.ts'

describe('a version of PostgreSQL', () => {
  test.each([
    ['15.20 (Debian 15.20-1.pgdg12+1)', '15.20', 150_020, 15, '15'],
    ['11.9', '11.9', 110_009, 11, '11'],
    ['10.23', '10.23', 100_023, 10, '10'],
    ['18', '18', 180_000, 18, '18'],
    ['18beta1', '18beta1', 180_000, 18, '18'],
    ['19rc2', '19rc2', 190_000, 19, '19'],
    ['19devel', '19devel', 190_000, 19, '19'],
    ['9.6.24', '9.6.24', 90_624, 9, '9.6'],
    ['9.6', '9.6', 90_600, 9, '9.6'],
    ['9.1.24', '9.1.24', 90_124, 9, '9.1'],
    ['8.4.22', '8.4.22', 80_422, 8, '8.4'],
  ])('is read from %j', (text, version, number, major, majorName) => {
    expect(parseVersion(text)).toEqual({ version, number, major, majorName })
    expect(majorOf(text)).toBe(major)
  })

  test.each(['', 'devel', 'v15', ' 15.2', '(Debian 15.20)'])('is not read from %j', (text) => {
    expect(parseVersion(text)).toBeUndefined()
    expect(majorOf(text)).toBeNaN()
  })

  test.each([
    [150_020, '15.20', '15'],
    [100_000, '10.0', '10'],
    [90_624, '9.6.24', '9.6'],
    [80_400, '8.4.0', '8.4'],
  ])('is known by the number %i', (number, version, majorName) => {
    const known = versionOfNumber(number)
    expect(known).toEqual({ version, number, major: Math.trunc(number / 10_000), majorName })
    expect(parseVersion(version)).toEqual(known)
  })

  test('keeps the words in which it was told', () => {
    expect(versionOfNumber(150_020, '15.20-cloud')).toMatchObject({
      version: '15.20-cloud',
      majorName: '15',
    })
  })

  test('has a major whose name is one of PostgreSQL’s', () => {
    expect(['8.4', '9.0', '9.6', '10', '15', '19'].filter((name) => !isMajorName(name))).toEqual([])
    expect(['8.5', '9', '9.7', '9.6.1', '15.2', 'latest', ''].filter(isMajorName)).toEqual([])
  })
})
