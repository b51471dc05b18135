import type pg from 'pg'
import { messageOf } from '../../../failure.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { printable } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import { joinOwner } from '../swap/exchange.ts'

/** Default privileges of a role in a database (PostgreSQL, "pg_default_acl"). */
interface DefaultPrivileges {
  role: string
  /** Null for those of the whole database, which stand in the place of the built-in ones. */
  schema: string | null
  /** As `defaclobjtype` has it. */
  type: string
  /** Who is named in them; '' for PUBLIC. */
  grantees: string[]
}

/** As ALTER DEFAULT PRIVILEGES names them, and what PUBLIC has of them by itself (PostgreSQL, "Privileges"). */
const types: Record<string, { name: string; everybody?: string }> = {
  r: { name: 'TABLES' },
  S: { name: 'SEQUENCES' },
  f: { name: 'FUNCTIONS', everybody: 'EXECUTE' },
  T: { name: 'TYPES', everybody: 'USAGE' },
  n: { name: 'SCHEMAS' },
  L: { name: 'LARGE OBJECTS' },
}

/** The default privileges that were set in a database, those of extensions left out. */
async function defaultPrivilegesOf(client: pg.Client): Promise<DefaultPrivileges[]> {
  const { rows } = await client.query<DefaultPrivileges>(
    `SELECT pg_catalog.pg_get_userbyid(a.defaclrole)::pg_catalog.text AS role, n.nspname::pg_catalog.text AS schema,
            a.defaclobjtype::pg_catalog.text AS type,
            ARRAY(SELECT DISTINCT COALESCE(r.rolname::pg_catalog.text, '') FROM pg_catalog.aclexplode(a.defaclacl) e
                    LEFT JOIN pg_catalog.pg_roles r ON r.oid = e.grantee) AS grantees
       FROM pg_catalog.pg_default_acl a LEFT JOIN pg_catalog.pg_namespace n ON n.oid = a.defaclnamespace
      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_default_acl'::pg_catalog.regclass AND d.objid = a.oid AND d.deptype = 'e')
      ORDER BY 1, 2, 3`,
  )
  return rows
}

/**
 * Takes the default privileges of a database back to those that a new one has, as members of the roles that they are of:
 * whatever these roles made afterwards would come with them. Of a role whose member the account cannot become (the cluster's own,
 * say) they stay, with a warning.
 *
 * @param client a session in the database, with a search_path of ours
 */
export async function resetDefaultPrivileges(client: pg.Client, context: Context): Promise<void> {
  for (const one of await defaultPrivilegesOf(client)) {
    const { role, schema, grantees } = one
    const type = types[one.type]
    if (!type) throw new Error(`default privileges of an unknown kind "${one.type}"`)
    const owner = quoteIdentifier(role)
    const where = schema === null ? '' : ` IN SCHEMA ${quoteIdentifier(schema)}`
    const change = (what: string) => `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner}${where} ${what}`
    await client.query('BEGIN')
    try {
      const undo = await joinOwner(client, role)
      for (const grantee of grantees) {
        const from = grantee === '' ? 'PUBLIC' : quoteIdentifier(grantee)
        await client.query(change(`REVOKE ALL ON ${type.name} FROM ${from}`))
      }
      // those of a schema are added to others, and gone when they are empty; the server drops what equals the built-in ones
      if (schema === null) {
        await client.query(change(`GRANT ALL ON ${type.name} TO ${owner}`))
        if (type.everybody) {
          await client.query(change(`GRANT ${type.everybody} ON ${type.name} TO PUBLIC`))
        }
      }
      for (const sql of undo) await client.query(sql)
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      if (sqlstateOf(error) === undefined) throw error
      context.warn(
        `Default privileges of ${printable(role)} on ${type.name}${schema === null ? '' : ` in ${printable(schema)}`} stay in the emptied database: ${messageOf(error)}. What that role makes there gets them`,
      )
    }
  }
}
