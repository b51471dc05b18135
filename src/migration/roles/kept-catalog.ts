import { Failure } from '../../failure.ts'
import type { PasswordKind, RoleCatalog } from '../../postgres/roles/catalog.ts'

const passwordKinds: readonly PasswordKind[] = ['none', 'scram-sha-256', 'md5', 'other', 'unknown']

/**
 * Reads a role catalog out of a manifest that anybody may have written: every field is checked, unknown ones are dropped, so that
 * what comes out is a catalog as readRoleCatalog makes it.
 *
 * @throws Failure naming the part that is wrong
 */
export function parseRoleCatalog(value: unknown): RoleCatalog {
  const root = new Part(value, 'roles')
  return {
    version: root.text('version'),
    major: root.count('major'),
    roles: root.list('roles', (role) => ({
      name: role.name('name'),
      superuser: role.flag('superuser'),
      polarSuperuser: role.flag('polarSuperuser'),
      inherit: role.flag('inherit'),
      createRole: role.flag('createRole'),
      createDatabase: role.flag('createDatabase'),
      login: role.flag('login'),
      replication: role.flag('replication'),
      bypassRls: role.flag('bypassRls'),
      connectionLimit: role.count('connectionLimit', -1),
      validUntil: role.textOrNull('validUntil'),
      expired: role.flag('expired'),
      password: role.oneOf('password', passwordKinds),
      comment: role.textOrNull('comment'),
    })),
    predefined: root.texts('predefined'),
    memberships: root.list('memberships', (membership) => ({
      role: membership.name('role'),
      member: membership.name('member'),
      admin: membership.flag('admin'),
      inherit: membership.flag('inherit'),
      set: membership.flag('set'),
    })),
    settings: root.list('settings', (setting) => ({
      role: setting.textOrNull('role'),
      database: setting.textOrNull('database'),
      parameter: setting.name('parameter'),
      value: setting.text('value'),
    })),
    labels: root.list('labels', (label) => ({
      role: label.name('role'),
      provider: label.text('provider'),
      label: label.text('label'),
    })),
    parameters: root.list('parameters', (parameter) => ({
      role: parameter.textOrNull('role'),
      parameter: parameter.name('parameter'),
      privilege: parameter.name('privilege'),
      grantOption: parameter.flag('grantOption'),
    })),
  }
}

/** One object of the catalog; each method gives a field, or fails with its place. */
class Part {
  private readonly fields: Record<string, unknown>
  private readonly where: string

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(where)
    this.fields = value as Record<string, unknown>
    this.where = where
  }

  text(key: string): string {
    return isText(this.fields[key]) ? this.fields[key] : this.fail(key)
  }

  /** A text that is not empty. */
  name(key: string): string {
    return this.text(key) || this.fail(key)
  }

  textOrNull(key: string): string | null {
    return this.fields[key] === null ? null : this.text(key)
  }

  texts(key: string): string[] {
    const texts = this.array(key)
    return texts.every(isText) ? texts : this.fail(key)
  }

  flag(key: string): boolean {
    const value = this.fields[key]
    return typeof value === 'boolean' ? value : this.fail(key)
  }

  count(key: string, least = 0): number {
    const value = this.fields[key]
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= least
      ? value
      : this.fail(key)
  }

  oneOf<T extends string>(key: string, allowed: readonly T[]): T {
    return allowed.find((value) => value === this.fields[key]) ?? this.fail(key)
  }

  list<T>(key: string, read: (part: Part) => T): T[] {
    return this.array(key).map((item, at) => read(new Part(item, `${this.where}.${key}[${at}]`)))
  }

  private array(key: string): unknown[] {
    const value = this.fields[key]
    return Array.isArray(value) ? value : this.fail(key)
  }

  private fail(key: string): never {
    throw malformed(`${this.where}.${key}`)
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0')
}

function malformed(where: string): Failure {
  return new Failure(
    'The dump describes its roles in a way that cannot be used',
    `\`${where}\` of its manifest has not the form that it should have`,
    'Make the dump again; nothing was restored',
  )
}
