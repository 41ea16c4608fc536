"""The whole of Tillflow on one machine: real servers, each its own process, under one supervisor.

`tillflow run` uses all of it; tests use single parts:

    async with Supervisor(folder) as supervisor:
        postgres = PostgresPart(folder, free_port())
        await supervisor.start(postgres)
        ... postgres.url ...
        await supervisor.kill("postgres")
        await supervisor.revive("postgres")

Everything listens on 127.0.0.1 only.
"""
