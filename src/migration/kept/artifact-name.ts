import type { Inputs } from '../inputs.ts'
import { archivePath } from './manifest.ts'

const base = 'polardb-dump'

type Chosen = Pick<Inputs, 'artifactName' | 'databases' | 'roles'>

/**
 * What the artifact of a dump is called: as `artifact-name` says, else by what is in it, so that the jobs of a matrix that share a run
 * (names are unique in one) and have the roles in a job of their own need no names. Nothing but the inputs decides, so that whoever
 * restores finds it by the same ones.
 */
export function artifactName({ artifactName, databases, roles }: Chosen): string {
  if (artifactName !== undefined) return artifactName
  if (roles === 'only') return `${base}-roles`
  const [one, ...others] = typeof databases === 'string' ? [] : databases
  if (roles !== 'skip' || !one || others.length > 0) return base
  // as its directory in the dump is called: harmless, and no two databases share one
  return `${base}-${archivePath(one.source, 1).split('/')[1]}`
}

/** Where a dump is looked for when there is no artifact of that name: it may hold more than is asked for now. */
export function otherArtifactNames(inputs: Chosen): string[] {
  return inputs.artifactName === undefined && artifactName(inputs) !== base ? [base] : []
}
