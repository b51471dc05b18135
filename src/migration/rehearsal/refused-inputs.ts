import type { InputReader } from '../input-reader.ts'

/** What a rehearsal must know of the inputs. */
interface Wishes {
  freezeSource: boolean
  ifTargetNotEmpty: string
  createDatabase: boolean
  keepDump: boolean
  uploadDump: boolean
  passphrase: string | undefined
}

/** Notes inputs that contradict what a rehearsal is: it works beside everything that is there, and leaves nothing behind. */
export function refuseInputs(wishes: Wishes, { wrong }: Pick<InputReader, 'wrong'>): void {
  const rehearse = 'with command rehearse'
  if (wishes.freezeSource)
    wrong('freeze-source', 'true', `allowed: false ${rehearse}, which never changes the source`)
  if (wishes.ifTargetNotEmpty !== 'fail')
    wrong(
      'if-target-not-empty',
      wishes.ifTargetNotEmpty,
      `allowed: fail ${rehearse}, which restores into databases of its own`,
    )
  if (!wishes.createDatabase)
    wrong('create-database', 'false', `allowed: true ${rehearse}, which creates its databases`)
  if (wishes.keepDump)
    wrong('keep-dump', 'true', `allowed: false ${rehearse}, which removes its dump`)
  if (wishes.uploadDump && wishes.passphrase === undefined)
    wrong(
      'passphrase',
      'it is not set',
      `allowed: a passphrase, where upload-dump is true ${rehearse}`,
    )
}
