import * as v from 'valibot'
import { Failure } from '../../failure.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import { count, fields, flag, list, name, oneOf, readBy, text, wholeFrom } from '../kept/schema.ts'

const passwordKinds = ['none', 'scram-sha-256', 'md5', 'other', 'unknown'] as const

const textOrNull = v.nullable(text)

/** The field types of RoleCatalog, which knows nothing of manifests; the compiler holds the two together. */
const catalog = fields({
  version: text,
  major: count,
  roles: list(
    fields({
      name,
      superuser: flag,
      polarSuperuser: flag,
      inherit: flag,
      createRole: flag,
      createDatabase: flag,
      login: flag,
      replication: flag,
      bypassRls: flag,
      connectionLimit: wholeFrom(-1),
      validUntil: textOrNull,
      expired: flag,
      password: oneOf(passwordKinds),
      comment: textOrNull,
    }),
  ),
  predefined: list(text),
  memberships: list(fields({ role: name, member: name, admin: flag, inherit: flag, set: flag })),
  settings: list(fields({ role: textOrNull, database: textOrNull, parameter: name, value: text })),
  labels: list(fields({ role: name, provider: text, label: text })),
  parameters: list(
    fields({ role: textOrNull, parameter: name, privilege: name, grantOption: flag }),
  ),
}) satisfies v.GenericSchema<unknown, RoleCatalog>

/**
 * Reads a role catalog out of a manifest that anybody may have written: every field is checked, unknown ones are dropped, so that
 * what comes out is a catalog as readRoleCatalog makes it.
 *
 * @throws Failure naming the part that is wrong
 */
export function parseRoleCatalog(value: unknown): RoleCatalog {
  return readBy(
    catalog,
    value,
    { prefix: 'roles', whole: 'roles' },
    (flaw) =>
      new Failure(
        'The dump describes its roles in a way that cannot be used',
        `In its manifest, ${flaw}`,
        'Make the dump again; nothing was restored',
      ),
  )
}
