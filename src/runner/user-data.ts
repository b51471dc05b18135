import { Failure } from '../failure.ts'

export interface UserData {
  /** The runner's name, for the log. */
  label: string
  version: string
  /** SHA-256 of the package by processor. */
  sha256: Partial<Record<'x64' | 'arm64', string>>
  /** Base URLs that are tried in this order. */
  downloads: readonly string[]
  /** The single-use configuration; the only secret in here, and worth nothing once the runner is online. */
  configuration: string
}

/** Where GitHub keeps the packages of the runner. */
export const githubDownloads = 'https://github.com/actions/runner/releases/download'

/** Bytes that RunInstances takes as user data, before base64. */
const most = 32 * 1024

/**
 * The script that an instance runs as root at its first boot: it prepares the data disk, installs the runner of the pinned version
 * after it has checked its SHA-256, and starts it as an ordinary user. What it says goes to the console, where
 * GetInstanceConsoleOutput finds it.
 *
 * @throws Failure when it would be larger than RunInstances takes
 */
export function userData({ label, version, sha256, downloads, configuration }: UserData): string {
  const script = `#!/bin/bash
# Made by the action runner/start of migrate-to-polardb. Runs once, as root, at the first boot.
set -euo pipefail
umask 022
label=${quoted(label)}
version=${quoted(version)}
sha256_x64=${quoted(sha256.x64 ?? '')}
sha256_arm64=${quoted(sha256.arm64 ?? '')}
downloads=(${downloads.map(quoted).join(' ')})
# worth nothing once the runner is online; handed over in the environment, which no other user can read
configuration=${quoted(configuration)}
home=/opt/github-runner

say() { echo "github-runner: $*"; }
fail() { say "FAILED: $*"; exit 1; }
log=/var/log/github-runner.log
touch "$log" && chmod 600 "$log"
if [ -w /dev/console ]; then exec > >(tee -a "$log" > /dev/console) 2>&1; else exec >> "$log" 2>&1; fi
trap 'say "FAILED in line $LINENO"' ERR

say "preparing $label"
glibc=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
[ "$(printf '%s\\n' 2.28 "$glibc" | sort -V | head -n 1)" = 2.28 ] ||
  fail "glibc $glibc is older than 2.28, which Node 24 needs: use Ubuntu 22.04 or 24.04, or Alibaba Cloud Linux 3"
case $(uname -m) in
  x86_64) processor=x64 sha256=$sha256_x64 ;;
  aarch64) processor=arm64 sha256=$sha256_arm64 ;;
  *) fail "there is no runner for the processor $(uname -m)" ;;
esac
[ -n "$sha256" ] || fail "no SHA-256 is known for $processor: set runner-sha256"

# The data disk is the one without partitions and without a file system. Where it is not there yet, it is waited for.
disk=
for _ in $(seq 30); do
  for device in $(lsblk -dnpo NAME,TYPE | awk '$2 == "disk" { print $1 }'); do
    if [ "$(lsblk -nro NAME "$device" | wc -l)" = 1 ] && ! blkid "$device" > /dev/null; then disk=$device; fi
  done
  [ -z "$disk" ] || break
  sleep 2
done
[ -n "$disk" ] || fail "the data disk did not appear"
mkfs.ext4 -q "$disk"
mkdir -p "$home"
mount -o nodev "$disk" "$home"
say "$disk is mounted"

id github-runner > /dev/null 2>&1 || useradd --system --create-home --shell /bin/bash github-runner

package=actions-runner-linux-$processor-$version.tar.gz
fetch() {
  if command -v curl > /dev/null; then
    curl --fail --silent --show-error --location --retry 4 --retry-delay 3 --connect-timeout 20 \\
      --speed-limit 10000 --speed-time 60 --output "$2" "$1"
  else
    wget --quiet --tries 4 --timeout 60 --output-document "$2" "$1"
  fi
}
got=
for base in "\${downloads[@]}"; do
  say "downloading $package from $base"
  if ! fetch "$base/v$version/$package" "$home/$package"; then say "no package from there"; continue; fi
  if echo "$sha256  $home/$package" | sha256sum --check --status; then got=1; break; fi
  say "the SHA-256 of what came from there is wrong, it is thrown away"
done
[ -n "$got" ] || fail "the runner could not be downloaded: the instance needs a way to GitHub on port 443 (a NAT gateway), or runner-mirrors"
mkdir "$home/runner"
tar -xzf "$home/$package" -C "$home/runner"
rm "$home/$package"
chown -R github-runner: "$home"

# .NET looks for ICU, which small images lack
if ! ldconfig -p | grep -q libicuuc; then export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1; fi
cd "$home/runner"
say "starting the runner $version"
trap - ERR
status=0
HOME=$(getent passwd github-runner | cut -d: -f6) USER=github-runner LOGNAME=github-runner \\
  ACTIONS_RUNNER_INPUT_JITCONFIG=$configuration runuser -u github-runner -- ./run.sh || status=$?
say "the runner ended with status $status"
`
  if (Buffer.byteLength(script) > most)
    throw new Failure(
      `The instance's user data would have ${Buffer.byteLength(script)} bytes`,
      `RunInstances takes ${most}`,
      'List fewer or shorter runner-mirrors',
    )
  return script
}

/** A word of a shell script in single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
