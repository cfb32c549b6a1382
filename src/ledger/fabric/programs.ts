/**
 * Fabric's programs: found where somebody put them, else installed from source at a pinned commit. The module path of Fabric
 * does not name its major version, so `go install` takes no release tag, only the pseudo-version of a commit.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CodedError } from '#base/errors.ts';

export const PROGRAMS = ['peer', 'orderer', 'osnadmin'] as const;
export type Program = (typeof PROGRAMS)[number];
export type Programs = Readonly<Record<Program, string>>;

export interface FabricRelease {
  readonly name: string;
  readonly commit: string;
  readonly pseudoVersion: string;
  /** Least version of Go that compiles it. */
  readonly go: string;
}

/** By major version. 3 is the one whose BFT orderers our client and contracts were seen to work with. */
export const RELEASES: Readonly<Record<'2' | '3', FabricRelease>> = {
  2: { name: 'v2.5.16', commit: 'f871cf92a026', pseudoVersion: 'v1.4.0-rc1.0.20260617221605-f871cf92a026', go: '1.26.4' },
  3: { name: 'v3.0.0', commit: '94590aa4332b', pseudoVersion: 'v1.4.0-rc1.0.20240918034325-94590aa4332b', go: '1.23.1' },
};
const RELEASES_PAGE = 'https://github.com/hyperledger/fabric/releases';
const INSTALL_MS_MAX = 1_200_000;
const VERSION_MS_MAX = 10_000;

export interface ProgramsOptions {
  readonly major: '2' | '3';
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where programs are installed when they are nowhere else. */
  readonly cache: string;
  readonly say: (line: string) => void;
}

/** Paths of the programs, of the wanted major version. Throws FABRIC_PROGRAM_MISSING, FABRIC_INSTALL_FAILED, FABRIC_PROGRAM_VERSION. */
export function findPrograms(options: ProgramsOptions): Programs {
  const given = options.env['FABRIC_BIN'];
  // A folder that was named is the one that is meant: nothing is taken from elsewhere.
  const folders = given !== undefined && given !== '' ? [given] : [...(options.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''), binOf(options)];
  const found = PROGRAMS.map((name) => [name, folders.map((folder) => join(folder, name)).find(isProgram)] as const);
  const missing = found.filter(([, path]) => path === undefined).map(([name]) => name);
  if (missing.length > 0 && given !== undefined && given !== '') throw new CodedError('FABRIC_PROGRAM_MISSING', `FABRIC_BIN has no ${missing.join(', no ')}.`, { why: 'The folder was named, so no other is searched.', next: `Put the programs of a release there (${RELEASES_PAGE}), or unset FABRIC_BIN.` });
  const programs = missing.length === 0 ? (Object.fromEntries(found) as Programs) : install(options, missing);
  for (const name of ['peer', 'orderer'] as const) checkVersion(programs[name], options.major);
  return programs;
}

const binOf = ({ cache, major }: ProgramsOptions): string => join(cache, RELEASES[major].name);

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The command by which anybody can install the same. */
export function installCommand({ major, cache }: Pick<ProgramsOptions, 'major' | 'cache'>): { readonly env: Readonly<Record<string, string>>; readonly args: readonly string[] } {
  const { name, pseudoVersion } = RELEASES[major];
  return { env: { GOBIN: join(cache, name), CGO_ENABLED: '0' }, args: ['install', ...PROGRAMS.map((program) => `github.com/hyperledger/fabric/cmd/${program}@${pseudoVersion}`)] };
}

function install(options: ProgramsOptions, missing: readonly Program[]): Programs {
  const { name, commit, go } = RELEASES[options.major];
  const { env, args } = installCommand(options);
  const line = `${Object.entries(env).map(([key, value]) => `${key}=${value}`).join(' ')} go ${args.join(' ')}`;
  options.say(`Installing Fabric ${name} (commit ${commit}) from source, once: ${line}`);
  const done = spawnSync('go', args, { env: { ...options.env, ...env } as NodeJS.ProcessEnv, encoding: 'utf8', timeout: INSTALL_MS_MAX });
  if ((done.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    throw new CodedError('FABRIC_PROGRAM_MISSING', `Fabric's ${missing.join(', ')} cannot be found.`, { why: 'They are neither in FABRIC_BIN nor on PATH, and there is no Go to install them with.', next: `Install Fabric ${name} from ${RELEASES_PAGE} and set FABRIC_BIN to its bin folder, or install Go ${go}.` });
  }
  const bin = binOf(options);
  const still = PROGRAMS.filter((program) => !isProgram(join(bin, program)));
  if (done.status !== 0 || still.length > 0) {
    const why = (done.error?.message ?? done.stderr ?? '').trim().split('\n').filter((text) => text !== '').at(-1) ?? `go ended with ${done.status}`;
    throw new CodedError('FABRIC_INSTALL_FAILED', `Fabric ${name} (commit ${commit}) could not be installed from source.`, { why: `${line} said: ${why.slice(0, 300)}`, next: `Download release ${name} from ${RELEASES_PAGE} and set FABRIC_BIN to its bin folder. From source it needs Go ${go}.`, command: line });
  }
  return Object.fromEntries(PROGRAMS.map((program) => [program, join(bin, program)])) as Programs;
}

/** A release says `Version: v2.5.16`; what was compiled with `go install` says `latest` or `development build`, and is believed. */
function checkVersion(path: string, major: '2' | '3'): void {
  const { stdout, status, error } = spawnSync(path, ['version'], { encoding: 'utf8', timeout: VERSION_MS_MAX });
  const said = /Version:\s*(\S.*)/.exec(stdout ?? '')?.[1]?.trim();
  const wanted = major === '2' ? /^v?2\.5\./ : /^v?3\./;
  if (error === undefined && status === 0 && said !== undefined && (wanted.test(said) || /^(latest|development)/.test(said))) return;
  throw new CodedError('FABRIC_PROGRAM_VERSION', 'A program of Fabric is of another version, or not what its name says.', { why: `${path} version said ${said ?? error?.message ?? `nothing, and ended with ${status}`}; ${major === '2' ? '2.5' : '3'} is needed.`, next: `Set FABRIC_BIN to the bin folder of Fabric ${RELEASES[major].name}, or choose --version.`, program: path });
}
