"""A caged process tree that can be asked things of, and that is surely gone afterwards.

Theory of operation
===================

Knows no HTTP and no rewards. Five kinds of process take part::

    server (Trio, trusted)
      │  SEQPACKET socket "steering": please start a session; how a session ended. Descriptors travel here.
      │
      ├─ keeper      builds the root file system, unshares, then only waits for the zygote    inside/cage.py
      │    └─ zygote     PID 1 of the cage's PID namespace; imports done; forks sessions      inside/zygote.py
      │         └─ init      PID 1 of the session's own PID namespace, in its own user,       inside/init.py
      │              │       mount, IPC, UTS, cgroup and network namespaces
      │              │  SEQPACKET socket "line", the lifeline: start a lane, a lane ended. EOF means exit.
      │              └─ lanes    one process per kind of tool, forked by init; hostile from     inside/lane.py
      │                          its first call on. Pipes: requests, replies, stdout, stderr.

**Who kills whom.** A session ends by SIGKILL to its init, through a pidfd that the server holds: the kernel
then kills whatever is left in that PID namespace, however it forked. All sessions' namespaces are inside
their zygote's, so a dead zygote takes its sessions with it; the zygote exits when its steering socket reports
an end of file, which the kernel guarantees when the server dies, by whatever signal. So nothing needs to run
for nothing to be left.

**Without namespaces**, in the lesser tiers (`sandbox.tiers`), the same processes take part, on the same road;
the plan leaves out what needs namespaces. Init, zygote and keeper adopt the orphans below them, and whoever
finds that the one above has died ends and reaps them all (`sandbox.inside.plain`).

**Who reaps whom.** Init reaps all that is orphaned in its session; the zygote reaps inits and reports each
with its status; the keeper reaps the zygote; the server reaps the keeper.

**Whose ids.** Each session has a user id of its own on the host, where there are ids to be had
(`sandbox.ids`). An ordinary user's server could not read what such a session leaves; so before the first call
the zygote, in whose user namespace both ids are, shows it the session's tree as the server's own. In the
capture it has no part.

**What is believed.** Init and zygote are ours and run no model code. They hold no secrets all the same, and
what they say is about their own doing only (a process started, a process ended). A lane is hostile: its
replies are bounded, parsed strictly, and count as data. No UNIX socket in a lane's reach leads out of its
session, so no descriptor can be handed in or out.

**Why a zygote.** Starting Python costs 10 to 15 ms, importing numpy 110 ms more; forking a process that has
done both costs one or two. Forking is only sound from a single-threaded process: the server is not one, so it
never forks, it asks the zygote to.
"""
