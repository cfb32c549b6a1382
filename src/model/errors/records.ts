import type { ErrorRow } from '../errors.ts';

/** Codes of the room `records/`. The second group stands in the list of refused resources and is never thrown. */
export const recordsErrors = {
  FILE_EMPTY: { status: 400, issue: 'invalid', exit: 2, sentence: 'The file is empty.', next: 'Export the bundle again.', retry: false },
  FILE_TOO_LARGE: { status: 413, issue: 'too-long', exit: 2, sentence: 'The file is larger than healthkeep reads at once.', next: 'Split the bundle into several smaller ones.', retry: false },
  FILE_FORMAT_UNKNOWN: { status: 415, issue: 'not-supported', exit: 2, sentence: 'The file is of a format that healthkeep does not read.', next: 'Hand over FHIR R4 bundles as .json or .json.gz.', retry: false },
  GZIP_DAMAGED: { status: 400, issue: 'invalid', exit: 2, sentence: 'The gzip file is damaged or cut off.', next: 'Transfer it again and compare its size with the original.', retry: false },
  GZIP_BOMB: { status: 413, issue: 'too-long', exit: 2, sentence: 'The gzip file unpacks to a suspicious multiple of its size.', next: 'Hand over the bundle unpacked if it is genuine.', retry: false },
  FHIR_XML_UNSUPPORTED: { status: 415, issue: 'not-supported', exit: 2, sentence: 'The file is XML; healthkeep reads FHIR as JSON.', next: 'Export it as JSON (application/fhir+json).', retry: false },
  FHIR_NOT_A_BUNDLE: { status: 422, issue: 'structure', exit: 2, sentence: 'The file is not a FHIR Bundle.', next: 'Put the resources into a Bundle of type transaction or collection.', retry: false },
  FHIR_BUNDLE_TYPE: { status: 422, issue: 'value', exit: 2, sentence: 'The Bundle is of another type than transaction or collection.', next: 'Set Bundle.type to transaction or collection.', retry: false },
  FHIR_BUNDLE_INVALID: { status: 422, issue: 'structure', exit: 2, sentence: 'The Bundle itself is not valid FHIR R4.', next: 'Correct the element named; nothing of the bundle was taken.', retry: false },
  FHIR_BUNDLE_ENTRIES: { status: 413, issue: 'too-long', exit: 2, sentence: 'The Bundle has more entries than healthkeep takes at once.', next: 'Split it into several smaller ones.', retry: false },

  FHIR_ENTRY_WITHOUT_RESOURCE: { status: 422, issue: 'required', exit: 2, sentence: 'The entry holds no resource.', next: 'Send entries that create or update a resource.', retry: false },
  FHIR_ENTRY_DUPLICATE: { status: 422, issue: 'duplicate', exit: 2, sentence: 'Two entries of the bundle have the same address.', next: 'Give every entry its own fullUrl.', retry: false },
  FHIR_PATIENT_WITHOUT_ID: { status: 422, issue: 'required', exit: 2, sentence: 'A Patient has neither an id nor a fullUrl.', next: 'Add Patient.id.', retry: false },
  FHIR_RESOURCE_TYPE: { status: 422, issue: 'structure', exit: 2, sentence: 'The resource type is missing or unknown in FHIR R4.', next: 'Set resourceType to a type of FHIR R4 (4.0.1).', retry: false },
  FHIR_STRUCTURE: { status: 422, issue: 'structure', exit: 2, sentence: 'An element has a structure that FHIR R4 does not allow.', next: 'Correct the element named and send the bundle again.', retry: false },
  FHIR_ELEMENT_UNKNOWN: { status: 422, issue: 'structure', exit: 2, sentence: 'An element is not one that FHIR R4 defines for its type.', next: 'Remove it, correct its spelling, or send it as an extension.', retry: false },
  FHIR_ELEMENT_MISSING: { status: 422, issue: 'required', exit: 2, sentence: 'An element that FHIR R4 requires is missing.', next: 'Add the element named.', retry: false },
  FHIR_CARDINALITY: { status: 422, issue: 'structure', exit: 2, sentence: 'An element is a list where one value belongs, or the other way round.', next: 'Correct the element named.', retry: false },
  FHIR_CHOICE: { status: 422, issue: 'structure', exit: 2, sentence: 'More than one of the choices of an element is given.', next: 'Keep one of them.', retry: false },
  FHIR_VALUE: { status: 422, issue: 'value', exit: 2, sentence: 'A value is not of the type that FHIR R4 requires there.', next: 'Correct the element named.', retry: false },
  FHIR_CODE: { status: 422, issue: 'value', exit: 2, sentence: 'A code is not in the value set that FHIR R4 requires there.', next: 'Use one of the codes of the value set named.', retry: false },
  FHIR_INVARIANT: { status: 422, issue: 'invariant', exit: 2, sentence: 'A constraint of FHIR R4 does not hold.', next: 'Correct the element named; the key in brackets leads to the constraint in the standard.', retry: false },
  FHIR_REFERENCE_TYPE: { status: 422, issue: 'value', exit: 2, sentence: 'A reference leads to a resource of a type that is not allowed there.', next: 'Refer to a resource of one of the types that FHIR R4 lists for the element.', retry: false },
  REFERENCE_UNRESOLVED: { status: 422, issue: 'not-found', exit: 2, sentence: 'A reference leads to a resource that is neither in the bundle nor known here.', next: 'Add the resource it refers to, or send that one first.', retry: false },
  SUBJECT_UNKNOWN: { status: 422, issue: 'required', exit: 2, sentence: 'It cannot be told whose record the resource is.', next: 'Name exactly one patient of the bundle as its subject.', retry: false },
} as const satisfies Record<string, ErrorRow>;
