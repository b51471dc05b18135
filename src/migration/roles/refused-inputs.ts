import type { InputReader } from '../input-reader.ts'

/** What must be known of the other inputs to judge those that are about roles. */
interface Wishes {
  command: string
  roles: 'migrate' | 'skip' | 'only'
  freezeSource: boolean
  testLogins: readonly unknown[]
}

/**
 * Notes inputs that contradict `roles: only`, which moves the roles of a server and nothing else, and logins to be tried where there
 * are none.
 */
export function refuseRoleInputs(
  { command, roles, freezeSource, testLogins }: Wishes,
  { wrong }: Pick<InputReader, 'wrong'>,
): void {
  if (testLogins.length > 0 && !/^(migrate|preflight|restore|verify)$/.test(command))
    wrong(
      'test-logins',
      'it is set',
      `allowed: with migrate, preflight, restore and verify; ${command === 'rehearse' ? 'nobody can log in as the roles of a rehearsal' : `command ${command} makes no roles`}`,
    )
  if (roles !== 'only') return
  if (command === 'rehearse')
    wrong(
      'roles',
      '"only"',
      'allowed: migrate, skip with command rehearse, which measures the outage that databases need; command preflight tries the roles on the target',
    )
  if (command === 'verify' || command === 'unfreeze')
    wrong(
      'roles',
      '"only"',
      `allowed: migrate, skip with command ${command}, which is about databases; migrate and restore compare the roles whenever they are run again`,
    )
  if (freezeSource)
    wrong('freeze-source', 'true', 'allowed: false with roles: only, which moves no rows')
}
