"""Engines: what generates with the student, behind one interface (`engine.StudentEngine`).

`static` goes batch by batch, `continuous` token by token, `endpoint` asks a server; `choose` picks one. All pass one
conformance suite. Nothing here knows of Ray.
"""
