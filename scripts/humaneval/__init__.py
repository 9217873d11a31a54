"""The main job: all problems of HumanEval as rollouts against a server of its own.

`problems` reads the data set, `agent` plays one rollout over HTTP, `__main__` starts the server and has
sixteen agents play, `report` says what came of it.
"""
