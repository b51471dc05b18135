import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import {
  type ClientEnvironment,
  type ProvideOptions,
  provideClient,
} from '../../src/postgres/programs/clients/provide.ts'
import {
  type ClientPrograms,
  programEnvironment,
  programPath,
  writePasswordFile,
} from '../../src/postgres/programs/programs.ts'
import { versionOfNumber } from '../../src/postgres/version.ts'
import { clientDirectory, debianPackages, hasDebianPackages, ownSuite } from '../support/clients.ts'
import {
  type Answer,
  buildAptRepository,
  buildDeb,
  FileServer,
  hasPrograms,
  run,
  SigningKey,
  signAptRepository,
} from '../support/package-repositories.ts'
import {
  makeUserDirectory,
  type Outcome,
  provideAsUser,
  testContext,
} from '../support/provide-client.ts'
import { type Major, TestServer } from '../support/server.ts'

const possible =
  (await hasDebianPackages()) &&
  hasPrograms('apt-get', 'dpkg-deb', 'apt-ftparchive', 'gpg', 'gpgconf')
const suite = `${await ownSuite()}-pgdg`

;(possible ? describe : describe.skip)('apt on a runner', () => {
  /** What all tests share and none changes: keys, packages and a sound repository. */
  let fixture: string
  let key: SigningKey
  let stranger: SigningKey
  let expired: SigningKey
  /** The repository that a test serves: a copy of the sound one, which it may spoil. */
  let directory: string
  let repository: string
  const servers: FileServer[] = []

  beforeAll(async () => {
    fixture = mkdtempSync(join(tmpdir(), 'apt-fixture-'))
    chmodSync(fixture, 0o755)
    const keys = ['key', 'stranger', 'expired'].map((name) =>
      SigningKey.create(join(fixture, name), name === 'expired'),
    )
    ;[key, stranger, expired] = (await Promise.all(keys)) as [SigningKey, SigningKey, SigningKey]
    const of13 = await debianPackages('bullseye', 'postgresql-client-13', 'closure')
    await buildAptRepository(
      join(fixture, 'repository'),
      suite,
      [
        ...(await debianPackages('bookworm', 'postgresql-client-15', 'alone')),
        ...(await debianPackages('bookworm', 'libpq5', 'alone')),
        ...of13.filter((file) => basename(file).startsWith('postgresql-client-13_')),
        await packageOfNewerRelease(17),
      ],
      key,
    )
  })

  afterAll(async () => {
    await Promise.all([key, stranger, expired].map((each) => each?.close()))
    rmSync(fixture, { recursive: true, force: true })
  })

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'apt runner-')) // a runner's directory may have a space
    chmodSync(directory, 0o755)
    repository = join(directory, 'repository')
    cpSync(join(fixture, 'repository'), repository, { recursive: true })
    makeUserDirectory(join(directory, 'temp'))
    makeUserDirectory(join(directory, 'tools'))
  })

  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop()))
    rmSync(directory, { recursive: true, force: true })
  })

  /** Debian's own build for a newer release, which brings its C library along, as a package for this release. */
  async function packageOfNewerRelease(major: number): Promise<string> {
    const programs = await clientDirectory(major)
    if (programs === undefined) throw new Error(`This machine cannot have PostgreSQL ${major}`)
    const root = join(fixture, 'newer')
    cpSync(programs, join(root, 'usr/lib/postgresql', String(major), 'bin'), { recursive: true })
    const fields = {
      Package: `postgresql-client-${major}`,
      Version: `${major}.11-1.pgdg12+1`,
      Architecture: 'amd64',
      Maintainer: 'Test <test@example.com>',
      Depends: 'libpq5',
      Description: 'front-end programs',
    }
    const file = join(fixture, `postgresql-client-${major}_amd64.deb`)
    await buildDeb(root, fields, file)
    return file
  }

  async function serve(path = repository, answer?: Answer): Promise<FileServer> {
    const server = await FileServer.start(path, answer)
    servers.push(server)
    return server
  }

  const nowhere = 'http://127.0.0.1:9'

  function order(
    major: number,
    options: Omit<ProvideOptions, 'source'>,
    environment: Partial<ClientEnvironment> = {},
  ) {
    // the machine's own package sources are of no concern here: a test that needs some names them
    const none = join(directory, 'no-sources.conf')
    writeFileSync(none, 'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "/dev/null";\n')
    return {
      options: {
        source: versionOfNumber(major * 10_000),
        ...options,
      },
      temporary: join(directory, 'temp'),
      toolCache: join(directory, 'tools'),
      environment: {
        path: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        proxies: {},
        architecture: 'x64',
        aptConfig: none,
        patience: { silence: 60, retries: 0, deadline: 240_000, takeover: 30_000 },
        repositories: {
          apt: nowhere,
          aptArchive: nowhere,
          yum: nowhere,
          yumArchive: nowhere,
          aptKey: key.publicKey,
          yumKeys: {},
        },
        ...environment,
      },
    }
  }

  function installed(outcome: Outcome): ClientPrograms {
    if (!outcome.client) throw new Error(JSON.stringify(outcome))
    return outcome.client
  }

  /** Complete entries of the tool cache. */
  function cacheEntries(): string[] {
    const files = readdirSync(join(directory, 'tools'), { recursive: true, encoding: 'utf8' })
    return files.filter((file) => file.endsWith('.complete'))
  }

  /** Nothing but what the job keeps is left in the runner's temporary directory. */
  function leftovers(): string[] {
    return readdirSync(join(directory, 'temp')).filter((name) => !name.startsWith('order-'))
  }

  async function dumpWith(client: ClientPrograms, major: Major): Promise<void> {
    const server = await TestServer.start(major)
    try {
      await server.sql("CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x')")
      const parameters = { password: server.password } as Parameters<typeof writePasswordFile>[2]
      const passwordFile = await writePasswordFile(directory, 'source', parameters)
      const env = programEnvironment(passwordFile, client.libraryPath)
      const at = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres']
      const program = (name: Parameters<typeof programPath>[1], args: string[]) =>
        run(programPath(client, name), args, { env })
      const dump = join(directory, 'dump')
      await program('pg_dump', [...at, '-Fd', '-j2', '-f', dump, 'postgres'])
      expect(await program('pg_dumpall', [...at, '-r'])).toContain('CREATE ROLE postgres')
      expect(await program('pg_restore', ['-l', dump])).toContain('TABLE DATA public t')
      const rows = await program('psql', [...at, '-XAtc', 'SELECT b FROM t', 'postgres'])
      expect(rows).toBe('x\n')
    } finally {
      await server.stop()
    }
  }

  describe('installs as an ordinary user from a mirror', () => {
    test.each<[number, Major]>([
      [13, 13],
      [15, 15],
    ])('the client programs of %i, which dump a server', async (major, server) => {
      const mirror = await serve()
      const outcome = await provideAsUser(order(major, { mirror: mirror.url }))
      const client = installed(outcome)
      expect(outcome.user).not.toBe(0)
      expect(client).toMatchObject({
        majorName: String(major),
        origin: `apt (${mirror.url} ${suite})`,
        bytes: expect.any(Number),
        seconds: expect.any(Number),
      })
      expect(client.bytes).toBeGreaterThan(1_000_000)
      expect(outcome.progress.join()).toContain('Downloading the client programs')
      expect(outcome.lines.join()).toMatch(/Installed the client programs.* MB in .* s/)
      expect(client.warnings).toEqual(
        major === 13 ? [expect.stringContaining('fixed in 13.22')] : [],
      )
      expect(cacheEntries()).toHaveLength(1)
      expect(leftovers()).toEqual([])
      for (const name of ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'] as const) {
        const env = { LD_LIBRARY_PATH: client.libraryPath ?? '' }
        const libraries = await run('ldd', [programPath(client, name)], { env })
        expect(libraries).not.toContain('not found')
      }
      await dumpWith(client, server)
    })

    test('those of a release newer than its own, which dump a server', async () => {
      const { url: mirror } = await serve()
      const client = installed(await provideAsUser(order(17, { mirror })))
      expect(client.majorName).toBe('17')
      await dumpWith(client, 17)
    })

    test('two majors side by side', async () => {
      const { url: mirror } = await serve()
      const first = installed(await provideAsUser(order(13, { mirror })))
      const second = installed(await provideAsUser(order(15, { mirror })))
      const say = (client: ClientPrograms) =>
        run(programPath(client, 'pg_dump'), ['--version'], {
          env: { LD_LIBRARY_PATH: client.libraryPath ?? '' },
        })
      expect(await say(first)).toContain(' 13.')
      expect(await say(second)).toContain(' 15.')
      expect(cacheEntries()).toHaveLength(2)
    })

    test('whose base URL is that of all kinds of repositories', async () => {
      mkdirSync(join(directory, 'mirror/repos'), { recursive: true })
      cpSync(repository, join(directory, 'mirror/repos/apt'), { recursive: true })
      const mirror = await serve(join(directory, 'mirror'))
      const client = installed(await provideAsUser(order(15, { mirror: mirror.url })))
      expect(client.origin).toBe(`apt (${mirror.url}/repos/apt ${suite})`)
    })

    test('whose URL has a password, which no message shows', async () => {
      const mirror = (await serve()).url.replace('http://', 'http://me:s3cret@')
      const outcome = await provideAsUser(order(15, { mirror }))
      expect(installed(outcome).version).toMatch(/^15\./)
      const missing = await provideAsUser(order(14, { mirror }))
      expect(missing.failure).toBeDefined()
      expect(JSON.stringify([outcome, missing])).not.toContain('s3cret')
    })

    test('through a proxy', async () => {
      const proxy = await serve()
      const proxies = { http_proxy: proxy.url }
      const mirror = 'http://mirror.example.com'
      installed(await provideAsUser(order(15, { mirror }, { proxies })))
      expect(proxy.requests).toContain(`/dists/${suite}/InRelease`)
    })

    test('for a source of 9.1 the nearest client that the mirror has', async () => {
      const { url: mirror } = await serve()
      const old = order(9, { mirror })
      old.options.source = versionOfNumber(90_124)
      const client = installed(await provideAsUser(old))
      expect(client.majorName).toBe('13')
      expect(client.warnings.join()).toContain('nearest newer ones')
    })
  })

  describe('takes them', () => {
    test('from the archive when the project has retired the release', async () => {
      mkdirSync(join(directory, 'project/archive'), { recursive: true })
      cpSync(repository, join(directory, 'project/archive'), { recursive: true })
      const { url } = await serve(join(directory, 'project'))
      const repositories = {
        ...order(15, {}).environment.repositories,
        apt: url,
        aptArchive: `${url}/archive`,
      }
      const client = installed(await provideAsUser(order(15, {}, { repositories })))
      expect(client.origin).toBe(`apt (${url}/archive ${suite})`)
    })

    test("from the distribution's own sources when the project cannot be reached", async () => {
      await buildAptRepository(
        join(directory, 'own'),
        'own',
        [
          ...(await debianPackages('bookworm', 'postgresql-client-15', 'alone')),
          ...(await debianPackages('bookworm', 'libpq5', 'alone')),
        ],
        stranger,
      )
      const own = await serve(join(directory, 'own'))
      const aptConfig = ownSources(own.url, 'own')
      const outcome = await provideAsUser(order(15, {}, { aptConfig }))
      expect(installed(outcome).origin).toContain("the runner's own package sources")
      expect(outcome.lines.join()).toMatch(/127\.0\.0\.1:9.*Connection refused/)
    })

    test('with the libraries that the runner lacks, from its own sources', async () => {
      const packages = await debianPackages('bullseye', 'postgresql-client-13', 'closure')
      const ours = packages.filter((file) =>
        /^(?:libpq5|postgresql-client-13)_/.test(basename(file)),
      )
      await buildAptRepository(join(directory, 'alien'), suite, ours, key)
      await buildAptRepository(join(directory, 'own'), 'own', packages, stranger)
      const { url: mirror } = await serve(join(directory, 'alien'))
      const own = await serve(join(directory, 'own'))
      const aptConfig = ownSources(own.url, 'own')
      const client = installed(await provideAsUser(order(13, { mirror }, { aptConfig })))
      const libraries = readdirSync(client.libraryPath ?? '')
      expect(libraries).toEqual(expect.arrayContaining(['libpq.so.5', 'libssl.so.1.1']))
      expect(libraries).not.toContain('libc.so.6')
      await dumpWith(client, 13)
    })

    test('but says what is missing when nobody has the libraries', async () => {
      const packages = await debianPackages('bullseye', 'postgresql-client-13', 'closure')
      const ours = packages.filter((file) =>
        /^(?:libpq5|postgresql-client-13)_/.test(basename(file)),
      )
      await buildAptRepository(join(directory, 'alien'), suite, ours, key)
      const { url: mirror } = await serve(join(directory, 'alien'))
      const outcome = await provideAsUser(order(13, { mirror }))
      expect(outcome.failure?.what).toContain('cannot run here')
      expect(outcome.failure?.why).toMatch(/lib\S+\.so\S*: cannot open shared object file/)
      expect(cacheEntries()).toEqual([])
    })

    function ownSources(url: string, name: string): string {
      const file = join(directory, 'own.conf')
      writeFileSync(join(directory, 'own.asc'), stranger.publicKey)
      mkdirSync(join(directory, 'own-keys'))
      cpSync(join(directory, 'own.asc'), join(directory, 'own-keys/own.asc'))
      writeFileSync(join(directory, 'own.list'), `deb ${url} ${name} main\n`)
      const settings = {
        'Dir::Etc::sourcelist': join(directory, 'own.list'),
        'Dir::Etc::sourceparts': '/dev/null',
        'Dir::Etc::trustedparts': join(directory, 'own-keys'),
      }
      const lines = Object.entries(settings).map(([setting, value]) => `${setting} "${value}";\n`)
      writeFileSync(file, lines.join(''))
      return file
    }
  })

  describe('finds them again', () => {
    test('in the tool cache without network and without apt', async () => {
      const mirror = await serve()
      const first = installed(await provideAsUser(order(15, { mirror: mirror.url })))
      const requests = mirror.requests.length
      const second = await provideAsUser(
        order(15, { mirror: mirror.url }, { path: '/nonexistent' }),
      )
      const { bytes: _bytes, seconds: _seconds, ...found } = first
      expect(second.client).toEqual({ ...found, origin: 'tool cache' })
      expect(mirror.requests.length).toBe(requests)
    })

    test('after two jobs installed them at once, one download for both', async () => {
      const mirror = await serve()
      const job = () => provideAsUser(order(15, { mirror: mirror.url }))
      const [first, second] = await Promise.all([job(), job()])
      expect(installed(first).directory).toBe(installed(second).directory)
      const downloads = mirror.requests.filter((path) => path.includes('postgresql-client-15'))
      expect(downloads).toHaveLength(1)
      await dumpWith(installed(first), 15)
    })

    test('after the job before was killed in the middle', async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const hanging = await serve(repository, (request) => {
        const isPackage = request.url?.includes('postgresql-client-15') ?? false
        if (isPackage) resolve()
        return isPackage
      })
      await provideAsUser(order(15, { mirror: hanging.url }), (end) => void promise.then(end))
      expect(cacheEntries()).toEqual([])
      const { url: mirror } = await serve()
      const patience = { silence: 60, retries: 0, deadline: 240_000, takeover: 3000 }
      const next = await provideAsUser(order(15, { mirror }, { patience }))
      expect(installed(next).version).toMatch(/^15\./)
    })

    test.each<[string, (entry: string) => void]>([
      ['has no mark of completeness', (entry) => rmSync(`${entry}.complete`)],
      ['holds half a program', (entry) => truncateSync(join(entry, 'bin/pg_dump'), 1000)],
      ['lost its libraries', (entry) => writeFileSync(join(entry, 'lib/libpq.so.5'), 'no library')],
    ])('not in an entry that %s, which is replaced', async (_what, spoil) => {
      const { url: mirror } = await serve()
      const first = installed(await provideAsUser(order(15, { mirror })))
      spoil(join(first.directory, '..'))
      const again = installed(await provideAsUser(order(15, { mirror })))
      expect(again).toMatchObject({ directory: first.directory, bytes: expect.any(Number) })
    })

    test("in the job's temporary directory when the tool cache cannot be written", async () => {
      const { url: mirror } = await serve()
      const job = order(15, { mirror })
      mkdirSync(join(directory, 'closed'), { mode: 0o555 })
      job.toolCache = join(directory, 'closed')
      const outcome = await provideAsUser(job)
      expect(installed(outcome).directory.startsWith(join(directory, 'temp'))).toBe(true)
      expect(outcome.lines.join()).toContain("not kept in the runner's tool cache")
    })
  })

  describe('keeps nothing of a repository', () => {
    const release = () => join(repository, 'dists', suite, 'InRelease')
    const packages = () => join(repository, 'dists', suite, 'main/binary-amd64/Packages')
    const client = () => {
      const pool = join(repository, 'pool')
      const name = readdirSync(pool).find((file) => file.startsWith('postgresql-client-15_'))
      return join(pool, name ?? '')
    }
    test.each<[string, () => Promise<void> | void, RegExp]>([
      [
        'with a tampered package',
        () => {
          const bytes = readFileSync(client())
          bytes[bytes.length - 100] = (bytes.at(-100) ?? 0) ^ 1
          writeFileSync(client(), bytes)
        },
        /Hash Sum mismatch/,
      ],
      ['with a truncated package', () => truncateSync(client(), 5000), /unexpected size/],
      ['with a tampered index', () => appendFileSync(packages(), '\nPackage: evil\n'), /size/],
      [
        'with a tampered release file',
        () => {
          const text = readFileSync(release(), 'utf8').replace('Suite: ', 'Suite: x')
          writeFileSync(release(), text)
        },
        /BADSIG|signatures were invalid/,
      ],
      [
        'that is not signed',
        () => {
          rmSync(release())
        },
        /is not signed/,
      ],
      [
        'signed with an unknown key',
        () => {
          rmSync(release())
          return signAptRepository(repository, suite, stranger)
        },
        /NO_PUBKEY/,
      ],
    ])('%s', async (_what, spoil, why) => {
      await spoil()
      const mirror = await serve()
      const outcome = await provideAsUser(order(15, { mirror: mirror.url }))
      expect(outcome.failure).toMatchObject({
        what: expect.stringMatching(/^The package repository http.* cannot be trusted$/),
        why: expect.stringMatching(why),
      })
      expect(outcome.failure?.what).toContain(mirror.url)
      expect(cacheEntries()).toEqual([])
      expect(leftovers()).toEqual([])
    })

    test('signed with an expired key', async () => {
      rmSync(release())
      await signAptRepository(repository, suite, expired)
      const { url: mirror } = await serve()
      const job = order(15, { mirror })
      job.environment.repositories.aptKey = expired.publicKey
      const outcome = await provideAsUser(job)
      expect(outcome.failure?.what).toContain('cannot be trusted')
      expect(outcome.failure?.why).toMatch(/EXPKEYSIG/)
      expect(cacheEntries()).toEqual([])
    })

    test("that is not signed, even where the runner's configuration allows that", async () => {
      rmSync(release())
      const { url: mirror } = await serve()
      const aptConfig = join(directory, 'careless.conf')
      writeFileSync(
        aptConfig,
        'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n',
      )
      const outcome = await provideAsUser(order(15, { mirror }, { aptConfig }))
      expect(outcome.failure?.what).toContain('cannot be trusted')
    })

    test("and runs no hook of the runner's configuration", async () => {
      const { url: mirror } = await serve()
      const aptConfig = join(directory, 'hooks.conf')
      const mark = join(directory, 'temp', 'order-hook-ran')
      writeFileSync(aptConfig, `APT::Update::Post-Invoke { "touch '${mark}'"; };\n`)
      installed(await provideAsUser(order(15, { mirror }, { aptConfig })))
      expect(existsSync(mark)).toBe(false)
    })
  })

  test('a cancelled job ends the download and leaves nothing behind', async () => {
    const controller = new AbortController()
    const { url: mirror } = await serve(repository, (request) => {
      const isPackage = request.url?.startsWith('/pool') ?? false
      if (isPackage) controller.abort()
      return isPackage
    })
    const job = order(15, { mirror })
    const context = { ...testContext(job.temporary), signal: controller.signal }
    const cache = { directory: job.toolCache, find: () => [], store: async () => '' }
    const environment = { ...job.environment, installed: () => [] }
    const work = provideClient(job.options, context, cache, environment)
    await expect(work).rejects.toThrow(Cancelled)
    expect(leftovers()).toEqual([])
    expect(readdirSync(join(job.toolCache, 'postgresql-client'))).toEqual([])
  })

  describe('fails with a clear message', () => {
    test('that names the mirror when it refuses connections', async () => {
      const outcome = await provideAsUser(order(15, { mirror: nowhere }))
      expect(outcome.failure?.what).toContain(`The mirror ${nowhere}`)
      expect(outcome.failure?.why).toContain('Connection refused')
    })

    test('that names the mirror when it never answers', async () => {
      const { url: mirror } = await serve(repository, () => true)
      const patience = { silence: 2, retries: 0, deadline: 60_000, takeover: 3000 }
      const outcome = await provideAsUser(order(15, { mirror }, { patience }))
      expect(outcome.failure?.what).toContain(`The mirror ${mirror}`)
      expect(outcome.failure?.why).toMatch(/timed out|Connection failed/)
    })

    test('that names the mirror when it sends a byte now and then', async () => {
      const { url: mirror } = await serve(repository, (_request, response) => {
        response.writeHead(200, { 'content-length': 100_000 })
        const timer = setInterval(() => response.write('x'), 300)
        response.on('close', () => clearInterval(timer))
        return true
      })
      const patience = { silence: 60, retries: 0, deadline: 4000, takeover: 3000 }
      const outcome = await provideAsUser(order(15, { mirror }, { patience }))
      expect(outcome.failure?.what).toContain(`The mirror ${mirror}`)
      expect(outcome.failure?.why).toBe('apt-get did not end within 4 s')
    })

    test('that names the mirror when a package is gone', async () => {
      const { url: mirror } = await serve(repository, (request, response) => {
        if (!request.url?.startsWith('/pool')) return false
        response.writeHead(404).end()
        return true
      })
      const outcome = await provideAsUser(order(15, { mirror }))
      expect(outcome.failure?.what).toContain(`The mirror ${mirror}`)
      expect(outcome.failure?.why).toContain('404')
    })

    test('that says what was tried and the three ways out when nobody has the major', async () => {
      const { url: mirror } = await serve()
      const { failure } = await provideAsUser(order(14, { mirror }))
      expect(failure?.what).toMatch(/client programs of PostgreSQL 14 .* cannot be installed/)
      expect(failure?.why).toContain(`${mirror} ${suite}: it has no postgresql-client-14`)
      expect(failure?.why).toContain(`${mirror}/repos/apt ${suite}: `)
      expect(failure?.why).toContain("the runner's own package sources")
      for (const way of ['client-path', 'client-mirror', 'client-version']) {
        expect(failure?.remedy).toContain(way)
      }
    })

    test('on a runner with neither apt nor dnf', async () => {
      const { failure } = await provideAsUser(order(15, {}, { path: join(directory, 'temp') }))
      expect(failure?.why).toContain('has neither apt nor dnf')
      expect(failure?.remedy).toContain('client-path')
    })

    test('on a processor that there are no packages for', async () => {
      const { failure } = await provideAsUser(order(15, {}, { architecture: 's390x' }))
      expect(failure?.why).toContain('packages for x64 and arm64, not for s390x')
    })
  })
})
