import * as toolCache from '@actions/tool-cache'
import type { ToolCache } from '../postgres/programs/clients/provide.ts'

/** The runner's tool cache, which RUNNER_TOOL_CACHE names. A self-hosted runner keeps it from job to job. */
export class RunnerToolCache implements ToolCache {
  readonly directory: string | undefined = process.env.RUNNER_TOOL_CACHE || undefined

  find(tool: string, architecture: string): { version: string; directory: string }[] {
    if (this.directory === undefined) return []
    return toolCache.findAllVersions(tool, architecture).map((version) => ({
      version,
      directory: toolCache.find(tool, version, architecture),
    }))
  }

  async store(
    directory: string,
    tool: string,
    version: string,
    architecture: string,
  ): Promise<string> {
    return await toolCache.cacheDir(directory, tool, version, architecture)
  }
}
