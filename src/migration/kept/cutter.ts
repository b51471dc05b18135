import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { isFull } from '../free-space.ts'
import type { Piece } from './encryption.ts'

export interface CutPiece extends Piece {
  /** 1, 2, … when it is not the whole file. */
  cut?: number
}

/** Hands out files, and pieces of files too large for a part, in groups. */
export class Cutter {
  /** Bytes, and files, not yet handed out: an empty file counts, too. */
  left = 0
  /** The next one last. */
  private queue: CutPiece[] = []

  /** Whole files, to be handed out after those that are here. */
  add(pieces: readonly Piece[]): void {
    this.become([...pieces.toReversed(), ...this.queue])
  }

  /** What was handed out last, to be handed out first the next time. */
  giveBack(pieces: readonly CutPiece[]): void {
    const queue = [...this.queue]
    for (const piece of pieces.toReversed()) {
      const next = queue.at(-1)
      const isRest = next?.path === piece.path
      const length = piece.length + (isRest ? next.length : 0)
      if (isRest) queue.pop()
      const { path, offset, cut } = piece
      queue.push(cut === undefined || cut === 1 ? { path, offset, length } : { ...piece, length })
    }
    this.become(queue)
  }

  /** Takes out what is of certain files. */
  drop(isGone: (path: string) => boolean): void {
    this.become(this.queue.filter(({ path }) => !isGone(path)))
  }

  /** Bytes not yet handed out. */
  get bytes(): number {
    return this.left - this.queue.length
  }

  /** Of the files that are not wholly handed out. */
  paths(): Set<string> {
    return new Set(this.queue.map(({ path }) => path))
  }

  private become(queue: CutPiece[]): void {
    this.queue = queue
    this.left = queue.reduce((sum, piece) => sum + piece.length + 1, 0)
  }

  /** At most that many bytes and files, and at least something. */
  take(bytes: number, files: number): CutPiece[] {
    const taken: CutPiece[] = []
    let room = bytes
    for (let next = this.queue.at(-1); next && taken.length < files; next = this.queue.at(-1)) {
      if (next.cut !== undefined || next.length > bytes) {
        // alone in its part: then nothing but this piece has to be copied
        if (taken.length === 0) taken.push(this.cut(next, bytes))
        break
      }
      if (next.length > room) break
      taken.push(next)
      room -= next.length
      this.left -= next.length + 1
      this.queue.pop()
    }
    return taken
  }

  private cut(piece: CutPiece, bytes: number): CutPiece {
    this.queue.pop()
    const { path, offset } = piece
    const length = Math.min(bytes, piece.length)
    const cut = piece.cut ?? 1
    this.left -= length
    if (length < piece.length)
      this.queue.push({
        path,
        offset: offset + length,
        length: piece.length - length,
        cut: cut + 1,
      })
    else this.left -= 1
    return { path, offset, length, cut }
  }
}

/** Copies a piece, as a file of its own where it is not the whole one. @throws Failure; Cancelled; Error of a full disk */
export async function copyPiece(
  directory: string,
  piece: CutPiece,
  staging: string,
  signal: AbortSignal,
): Promise<void> {
  const source = join(directory, piece.path)
  await mkdir(dirname(join(staging, piece.path)), { recursive: true, mode: 0o700 })
  try {
    if (piece.cut === undefined) await copyFile(source, join(staging, piece.path))
    else
      await pipeline(
        createReadStream(source, { start: piece.offset, end: piece.offset + piece.length - 1 }),
        createWriteStream(join(staging, pieceName(piece.path, piece.cut)), { mode: 0o600 }),
        { signal },
      )
  } catch (error) {
    if (signal.aborted) throw new Cancelled()
    if (isFull(error)) throw error
    throw new Failure(
      `A piece of ${piece.path} could not be made for the upload`,
      messageOf(error),
      'Free space in the directory for temporary files',
    )
  }
}

function pieceName(path: string, cut: number): string {
  return `${path}.part-${String(cut).padStart(4, '0')}`
}
