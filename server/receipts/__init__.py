"""Receipts: what a verdict was made from, signed.

Every verify reply has a ``receipt``: digests of all that the verdict rests on (`receipt`), the captured files
as the root of a Merkle tree (`merkle`), the calls as a hash chain (`chain`), the verifier's own source
(`sources`), and a signature over the whole (`keys`). Each part has a digest of its own, so that a check
(`checking`) can say *which* part of a stored rollout is not what was judged. The same facts give the same
bytes: a receipt holds no time and no number of the run.

A receipt proves what this server judged and how. It does not prove that the judgement was right, nor that
whoever holds the key did not sign something else.
"""
