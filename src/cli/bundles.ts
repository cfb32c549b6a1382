/** The FHIR bundles of a folder or a list of files, read one at a time. */
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import type { Bytes } from '#base/bytes.ts';
import { readInput, unreadable } from './files.ts';

export interface BundleFile {
  /** Name without its folder: it stands in reports. */
  readonly name: string;
  readonly path: string;
  read(): Bytes;
}

const SUFFIX = /\.json(\.gz)?$/i;

/**
 * Bundles by name order; a folder gives its `.json` and `.json.gz` files (not those below it).
 * @throws CodedError INPUT_UNREADABLE, INPUT_FOLDER_EMPTY
 */
export function bundleFiles(paths: readonly string[]): BundleFile[] {
  const files = paths.flatMap((path) => (statOf(path).isDirectory() ? inFolder(path) : [path]));
  return files.map((path) => ({ name: basename(path), path, read: () => readInput(path) }));
}

function inFolder(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    throw unreadable(folder, cause);
  }
  const files = names.filter((name) => SUFFIX.test(name)).sort().map((name) => join(folder, name)).filter((path) => statOf(path).isFile());
  if (files.length === 0) throw new CodedError('INPUT_FOLDER_EMPTY', 'The folder holds no bundle.', { why: 'It has no .json or .json.gz file.', next: 'Name a folder with FHIR R4 bundles.' });
  return files;
}

function statOf(path: string): ReturnType<typeof statSync> & object {
  try {
    return statSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
