"""Captured states, kept for re-verification.

After a verdict its session's final state is packed (`packing`) and kept by the digest of the pack (`store`),
in memory or in a folder (`shelves`), within a number of bytes and an age. The verify reply's
``response.metadata`` gets a reference (`reference`): the digest, and a code that only this server's secret
makes. Agents store the response as it came back, so a later `/verify` without a session brings the reference
along, and the state is judged again.

A reference says nothing but a digest; no part of it becomes a path before its code has been checked. What is
read back is checked against the digest before it is parsed.
"""
