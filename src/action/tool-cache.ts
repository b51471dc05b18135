import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ToolCache } from '../postgres/programs/clients/provide.ts'

/**
 * The runner's tool cache, which RUNNER_TOOL_CACHE names. A self-hosted runner keeps it from job to job. An entry is complete when a
 * file beside it says so, as `@actions/tool-cache` leaves it there.
 */
export class RunnerToolCache implements ToolCache {
  readonly directory: string | undefined = process.env.RUNNER_TOOL_CACHE || undefined

  find(tool: string, architecture: string): { version: string; directory: string }[] {
    if (this.directory === undefined) return []
    const versions = join(this.directory, tool)
    if (!existsSync(versions)) return []
    return readdirSync(versions)
      .map((version) => ({ version, directory: join(versions, version, architecture) }))
      .filter(({ directory }) => existsSync(directory) && existsSync(`${directory}.complete`))
  }

  async store(
    directory: string,
    tool: string,
    version: string,
    architecture: string,
  ): Promise<string> {
    // it loads an HTTP client that takes 10 MB, and the runs that store nothing do without
    const toolCache = await import('@actions/tool-cache')
    return await toolCache.cacheDir(directory, tool, version, architecture)
  }
}
