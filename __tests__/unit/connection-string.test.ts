import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { conninfo, parseConnectionString } from '../../src/postgres/connection-string.ts'

const why = (text: string) => {
  try {
    parseConnectionString(text)
  } catch (error) {
    if (error instanceof Failure) return error.why
    throw error
  }
  return 'accepted'
}

describe('a libpq connection string', () => {
  test.each([
    [
      'postgresql://u:p@h:5433/d?sslmode=require',
      { host: 'h', port: 5433, user: 'u', password: 'p', dbname: 'd', sslmode: 'require' },
    ],
    ['postgres://u@h', { host: 'h', port: 5432, user: 'u', dbname: 'u', sslmode: 'prefer' }],
    [
      'postgresql://u%40x:p%2F%3Aw@[::1]:6000/d%20b',
      { host: '::1', port: 6000, user: 'u@x', password: 'p/:w', dbname: 'd b' },
    ],
    ['postgresql://u:p@ss@h/d', { host: 'h', password: 'p@ss' }],
    ['postgresql://u:what?@h/d', { host: 'h', password: 'what?' }],
    ['postgresql://u@%2Fvar%2Frun/d', { host: '/var/run' }],
    ['postgresql://h/d?user=u&password=p%26', { host: 'h', user: 'u', password: 'p&' }],
    ['postgresql://u@h/d?ssl=true', { sslmode: 'require' }],
    ['host=h user=u dbname=d', { host: 'h', user: 'u', dbname: 'd' }],
    [
      " host = h  user='o\\'neill' password='a \\\\ b' port=1 ",
      { user: "o'neill", password: 'a \\ b', port: 1 },
    ],
    ['host=h user=u password=a\\ b', { password: 'a b' }],
    ["host=h user=u dbname='' ", { dbname: 'u' }],
  ])('%s', (text, expected) => {
    expect(parseConnectionString(text)).toMatchObject(expected)
  })

  test('a password given apart wins over the one in the string', () => {
    expect(parseConnectionString('postgresql://u:old@h/d', 'new').password).toBe('new')
  })

  test('is refused with a reason that does not repeat it', () => {
    expect(why('postgresql://u:s3cret@/d')).toBe('it names no host')
    expect(why('postgresql://h/d')).toBe('it names no user')
    expect(why('postgresql://u:s3cret@a,b/d')).toBe('it names several hosts')
    expect(why('postgresql://u@h:99999/d')).toBe('its port is not a number from 1 to 65535')
    expect(why('postgresql://u@h/d?sslmode=always')).toBe('"always" is no sslmode')
    expect(why('postgresql://u:s3%cret@h/d')).toMatch(/its password holds a "%"/)
    expect(why('s3cret is not a connection string')).toMatch(/neither a URI nor/)
    expect(why('host=h user=u sslpassword=s3cret')).toBe(
      'the parameter "sslpassword" is not supported',
    )
  })

  test('becomes a conninfo without the password, every value quoted', () => {
    const parameters = parseConnectionString(
      "host=h user='o\\'n' password=s3cret keepalives_idle=5",
    )
    const text = conninfo(parameters, 'read', "a b'c\\d")
    expect(text).toContain("user='o\\'n' dbname='a b\\'c\\\\d'")
    expect(text).toContain("keepalives_idle='5'")
    expect(text).not.toContain('s3cret')
  })
})
