import { counted } from '../../../text/numbers.ts'
import { allowSurprise } from '../../restore/plan/allow-missing.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** Objects of several tables that a newer server refuses to make, which no statement of the dump shows by itself. */

interface Part {
  schema: string
  table: string
  name: string
}

const nameOf = ({ schema, table, name }: Part) => pastedName(schema, table, name)

/** Those of an answer that nobody has agreed to lose, as the restore calls them: there they come as a surprise. */
function kept({ source, inputs }: Known, question: Question<Part>, entry: (part: Part) => string) {
  const mayBeMissing = allowSurprise(inputs.allowMissing)
  return source.rows(question).filter((part) => !mayBeMissing(entry(part)))
}

/** A dump may leave it out, or be meant for a target that takes it. */
const severityOf = (known: Known) =>
  known.inputs.dumpOptions.length === 0 && known.has('target') ? 'blocker' : 'warning'

/** A column that is generated in a child, while the parent's is not (release notes of 16, "Migration to Version 16"). */
const generatedChildren: Question<Part> = {
  id: 'generated-children',
  scope: 'database',
  sql: ({ number }) =>
    number < 120_000 || number >= 160_000
      ? undefined
      : `
    SELECT DISTINCT n.nspname AS schema, c.relname AS table, a.attname AS name
      FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attgenerated <> '' AND NOT a.attisdropped
      JOIN pg_catalog.pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname AND p.attnum > 0 AND p.attgenerated = ''
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
     ORDER BY 1, 2, 3`,
}

const generatedChildrenOfSource: Check = {
  id: 'source-generated-children',
  severity: 'blocker',
  why: "from PostgreSQL 16 on a column of a child table is generated only where the parent's is",
  needs: ['source'],
  questions: { source: [generatedChildren] },
  judge(known): Answer {
    const rows = kept(known, generatedChildren, ({ schema, table }) => `TABLE ${schema}.${table}`)
    if (rows.length === 0 || (known.has('target') && known.target.major < 16))
      return { status: 'passed', message: 'no child table generates what its parent does not' }
    return {
      status: 'failed',
      severity: severityOf(known),
      message: `${counted(rows.length, 'column')} of child tables ${rows.length === 1 ? 'is' : 'are'} generated where the parent's is not, which PostgreSQL 16 and newer refuse`,
      objects: objectsOf(rows, nameOf),
      remedy:
        'Generate it in the parent, too; or keep its values and fill it by a trigger: ALTER TABLE … NO INHERIT …, then ALTER COLUMN … DROP EXPRESSION (13 and newer), then INHERIT again',
    }
  },
}

/** The rule is that of ATAddForeignKeyConstraint in 18 (release notes of 18, "Migration to Version 18"). */
const collatedKeys: Question<Part> = {
  id: 'collated-foreign-keys',
  scope: 'database',
  sql: ({ number }) =>
    number < 120_000 || number >= 180_000
      ? undefined
      : `
    SELECT n.nspname AS schema, c.relname AS table, k.conname AS name
      FROM pg_catalog.pg_constraint k
      JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND EXISTS (
       SELECT 1 FROM pg_catalog.generate_subscripts(k.conkey, 1) i
         JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[i]
         JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[i]
         JOIN pg_catalog.pg_collation l ON l.oid IN (a.attcollation, b.attcollation) AND NOT l.collisdeterministic
        WHERE a.attcollation <> b.attcollation)
     ORDER BY 1, 2, 3`,
}

const collatedKeysOfSource: Check = {
  id: 'source-collated-foreign-keys',
  severity: 'blocker',
  why: 'from PostgreSQL 18 on the columns of a foreign key have one collation, unless both are deterministic',
  needs: ['source'],
  questions: { source: [collatedKeys] },
  judge(known): Answer {
    const rows = kept(
      known,
      collatedKeys,
      ({ schema, table, name }) => `FK CONSTRAINT ${schema}.${table} ${name}`,
    )
    if (rows.length === 0 || (known.has('target') && known.target.major < 18))
      return { status: 'passed', message: 'foreign keys are of columns that are collated alike' }
    return {
      status: 'failed',
      severity: severityOf(known),
      message: `${counted(rows.length, 'foreign key')} of columns with different collations, one of them not deterministic, which PostgreSQL 18 and newer refuse`,
      objects: objectsOf(rows, nameOf),
      remedy:
        'Give both columns the same collation (ALTER TABLE … ALTER COLUMN … TYPE … COLLATE …), or drop the foreign key',
      paste: statementsFor(
        rows,
        ({ schema, table, name }) =>
          `ALTER TABLE ${pastedName(schema, table)} DROP CONSTRAINT ${pastedName(name)};`,
      ),
    }
  },
}

export const refusedChecks: readonly Check[] = [generatedChildrenOfSource, collatedKeysOfSource]
