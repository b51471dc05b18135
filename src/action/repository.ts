import { readFile } from 'node:fs/promises'

/**
 * Whether everybody can read the repository. The event that started the run mostly says so; otherwise GitHub is asked
 * without a token: it shows public repositories only. When neither answers, the careful answer is yes.
 *
 * @param environment the runner's; without GITHUB_REPOSITORY this is no GitHub job, and nobody else can read anything
 */
export async function isPublicRepository(
  environment: Record<string, string | undefined>,
): Promise<boolean> {
  const {
    GITHUB_EVENT_PATH,
    GITHUB_REPOSITORY,
    GITHUB_API_URL = 'https://api.github.com',
  } = environment
  if (!GITHUB_REPOSITORY) return false
  if (GITHUB_EVENT_PATH) {
    const event = await readFile(GITHUB_EVENT_PATH, 'utf8').then(
      (text) => JSON.parse(text) as { repository?: { private?: unknown; visibility?: unknown } },
      () => undefined,
    )
    const { private: hidden, visibility } = event?.repository ?? {}
    if (typeof visibility === 'string') return visibility === 'public'
    if (typeof hidden === 'boolean') return !hidden
  }
  try {
    const response = await fetch(`${GITHUB_API_URL}/repos/${GITHUB_REPOSITORY}`, {
      signal: AbortSignal.timeout(10_000),
    })
    return response.status !== 404 && response.status !== 401
  } catch {
    return true
  }
}
