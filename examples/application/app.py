# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small shop behind FastAPI, as an example of an application that can be monitored.

DATABASE_URL is its PostgreSQL database, DATABASE_POOL_SIZE the number of connections of each worker. With several workers,
PROMETHEUS_MULTIPROC_DIR must be a directory that is empty when the first of them starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

import psycopg
from fastapi import FastAPI, HTTPException, Request
from prometheus_client import Counter, multiprocess
from prometheus_fastapi_instrumentator import Instrumentator
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import BaseModel, Field

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql:///shop")
POOL_SIZE = int(os.environ.get("DATABASE_POOL_SIZE", "5"))
# Workers start in parallel, and `IF NOT EXISTS` alone lets two of them collide; the lock ends with the transaction.
SCHEMA = """
SELECT pg_advisory_xact_lock(727);
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    article text NOT NULL,
    amount int NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT now()
);
"""
# A business metric in addition to those of HTTP: counters are summed over the workers automatically.
ORDERED = Counter("shop_articles_ordered", "Articles ordered", ["article"])


class Order(BaseModel):
    """The request body of an order."""

    article: str = Field(pattern="^(lamp|chair|table)$")
    amount: int = Field(ge=1, le=100)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI):
    """Open the pool without waiting for the database: an application that starts without it can report that it is down."""
    pool = AsyncConnectionPool(
        DATABASE_URL,
        min_size=1,
        max_size=POOL_SIZE,
        timeout=2,
        # Idle connections are closed soon after a peak, one in so many seconds: otherwise the database's alerts see the
        # largest pool of the day.
        max_idle=10,
        # Connections that a restart of the database has closed are detected here, not by a user's request.
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    app.state.pool, app.state.ready = pool, False
    await pool.open(wait=False)
    yield
    await pool.close()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        # The counters of this worker stay in the sums, its gauges (requests in progress) do not.
        multiprocess.mark_process_dead(os.getpid())


app = FastAPI(title="shop", lifespan=lifespan)
# `/metrics` would count itself, as the fastest and most frequent of all handlers. If PROMETHEUS_MULTIPROC_DIR is set,
# the instrumentator answers with the sum over all workers, otherwise with the values of a random worker.
Instrumentator(excluded_handlers=["/metrics"]).instrument(app).expose(app, include_in_schema=False)


@contextlib.asynccontextmanager
async def database(request: Request):
    """A connection, or 503 if none is available."""
    state = request.app.state
    try:
        async with state.pool.connection() as connection:
            if not state.ready:
                await connection.execute(SCHEMA)
                await connection.commit()
                state.ready = True
            yield connection
    except (PoolTimeout, psycopg.OperationalError) as error:
        raise HTTPException(503, "the database does not answer") from error


@app.get("/health")
async def health(request: Request):
    """Whether requests can be served: the endpoint for probes from outside."""
    async with database(request) as connection:
        await connection.execute("SELECT 1")
    return {"status": "ok"}


@app.get("/orders")
async def recent(request: Request):
    """The last ten orders."""
    async with database(request) as connection:
        rows = await connection.execute("SELECT id, article, amount FROM orders ORDER BY id DESC LIMIT 10")
        return [{"id": row[0], "article": row[1], "amount": row[2]} for row in await rows.fetchall()]


@app.post("/orders", status_code=201)
async def order(request: Request, wanted: Order):
    """Create an order."""
    async with database(request) as connection:
        rows = await connection.execute(
            "INSERT INTO orders (article, amount) VALUES (%s, %s) RETURNING id", (wanted.article, wanted.amount)
        )
        (number,) = await rows.fetchone()
    ORDERED.labels(wanted.article).inc(wanted.amount)
    return {"id": number}


@app.get("/report")
async def report(request: Request, seconds: float = 0.2):
    """A slow query that holds its connection: with enough of these, all requests wait for the pool."""
    async with database(request) as connection:
        await connection.execute("SELECT pg_sleep(%s)", (min(seconds, 10.0),))
        rows = await connection.execute("SELECT article, sum(amount)::int FROM orders GROUP BY article")
        return dict(await rows.fetchall())


@app.get("/payment")
async def payment(fail: bool = False):
    """An external service that does not always work."""
    await asyncio.sleep(0.01)
    if fail:
        raise HTTPException(502, "the payment service does not answer")
    return {"status": "paid"}
