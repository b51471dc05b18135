import { describe, expect, test } from '@jest/globals'
import { commands } from '../../src/commands/index.ts'
import { parseInputs, secretsOfInput } from '../../src/migration/inputs.ts'
import { loginSecrets, parseTestLogins } from '../../src/migration/roles/login-input.ts'
import { failureThrown } from '../support/failure.ts'

const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).join('')

describe('test-logins', () => {
  test('takes names and secrets with every character that a line can have', () => {
    expect(
      parseTestLogins(
        [
          `app=${printable}`,
          '',
          '  Two Words  = with blanks at both ends ',
          `"a=b""c\n%ü"=x=y=z`,
          'windows=ends\r',
          'naïve=pässwörd',
        ].join('\n'),
      ),
    ).toEqual([
      { role: 'app', secret: printable },
      { role: 'Two Words', secret: ' with blanks at both ends ' },
      { role: 'a=b"c\n%ü', secret: 'x=y=z' },
      { role: 'windows', secret: 'ends' },
      { role: 'naïve', secret: 'pässwörd' },
    ])
    expect(parseTestLogins('')).toEqual([])
    expect(parseTestLogins(' \n\n')).toEqual([])
  })

  test.each([
    ['hunter2', 'entry 1 is not of the form name=secret'],
    ['app=hunter2\n"app=hunter3', 'entry 2 is not of the form name=secret'],
    ['=hunter2', 'entry 1 is not of the form name=secret'],
    ['""=hunter2', 'entry 1 has no name'],
    ['app=', 'entry 1 has no secret'],
    ['app=hunter2\napp=hunter3', 'entry 2 names a role that is there already'],
    ['app=hunter2\0', 'entry 1 holds a NUL'],
    ['"app" hunter2=x', 'entry 1 is not of the form name=secret'],
  ])('refuses %j, and repeats nothing of it', (text, why) => {
    const failure = failureThrown(() =>
      parseInputs(
        (name) => (name === 'test-logins' ? text : name === 'source' ? '' : 'host=h user=u'),
        commands,
      ),
    )
    expect(failure.why).toContain(`test-logins: ${why}`)
    expect(failure.line).not.toContain('hunter')
    for (const secret of text.match(/hunter\d/g) ?? [])
      expect(loginSecrets(text).some((one) => one.includes(secret))).toBe(true)
  })

  test('is a secret for what stands behind the sign, not for its names', () => {
    expect(secretsOfInput('test-logins', 'app=hunter2\n"a\nb"= ﬁ ')).toEqual(['hunter2', ' ﬁ '])
    expect(secretsOfInput('passphrase', 'x\n')).toEqual(['x'])
  })

  test('is for commands whose roles somebody can log in as', () => {
    const servers: Record<string, string> = { source: 'host=s user=u', target: 'host=t user=u' }
    const read = (command: string) => () =>
      parseInputs((name) => ({ ...servers, command, 'test-logins': 'app=x' })[name] ?? '', commands)
    for (const command of ['migrate', 'preflight', 'restore', 'verify'])
      expect(read(command)().testLogins).toEqual([{ role: 'app', secret: 'x' }])
    for (const command of ['dump', 'unfreeze'])
      expect(failureThrown(read(command)).why).toContain('test-logins: it is set; allowed: with')
    expect(failureThrown(read('rehearse')).why).toContain('log in as the roles of a rehearsal')
  })
})
