# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small shop behind FastAPI, as an example of an application that can be monitored.

DATABASE_URL names its PostgreSQL, DATABASE_POOL_SIZE the connections of each worker. With several workers,
PROMETHEUS_MULTIPROC_DIR has to name a directory that is empty when the first of them starts.
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
# Workers start side by side, and `IF NOT EXISTS` alone lets two of them collide; the lock is gone with the transaction.
SCHEMA = """
SELECT pg_advisory_xact_lock(727);
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    article text NOT NULL,
    amount int NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT now()
);
"""
# A metric of the business beside those of HTTP: a counter adds up over the workers by itself.
ORDERED = Counter("shop_articles_ordered", "Articles ordered", ["article"])


class Order(BaseModel):
    """What somebody wants."""

    article: str = Field(pattern="^(lamp|chair|table)$")
    amount: int = Field(ge=1, le=100)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI):
    """Open the pool without waiting for the database: an application that starts without it can say that it is down."""
    pool = AsyncConnectionPool(
        DATABASE_URL,
        min_size=1,
        max_size=POOL_SIZE,
        timeout=2,
        # What a busy minute needed is given back soon after it, one connection in so many seconds: else the database's
        # alerts see the largest pool of the day.
        max_idle=10,
        # Connections that a restart of the database has cut are noticed here and not by a customer.
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    app.state.pool, app.state.ready = pool, False
    await pool.open(wait=False)
    yield
    await pool.close()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        # What this worker has counted stays in the sums, what it holds just now (requests in progress) does not.
        multiprocess.mark_process_dead(os.getpid())


app = FastAPI(title="shop", lifespan=lifespan)
# `/metrics` would count itself, as the fastest and most frequent of all handlers. Where PROMETHEUS_MULTIPROC_DIR is set,
# the instrumentator answers with the sum over all workers, else with what the one has that happens to be asked.
Instrumentator(excluded_handlers=["/metrics"]).instrument(app).expose(app, include_in_schema=False)


@contextlib.asynccontextmanager
async def database(request: Request):
    """A connection, or 503 while there is none to be had."""
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
    """Whether somebody can be served: what a probe from outside asks."""
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
    """Order something."""
    async with database(request) as connection:
        rows = await connection.execute(
            "INSERT INTO orders (article, amount) VALUES (%s, %s) RETURNING id", (wanted.article, wanted.amount)
        )
        (number,) = await rows.fetchone()
    ORDERED.labels(wanted.article).inc(wanted.amount)
    return {"id": number}


@app.get("/report")
async def report(request: Request, seconds: float = 0.2):
    """A query that takes its time and holds its connection: with enough of these, the pool is what everybody waits for."""
    async with database(request) as connection:
        await connection.execute("SELECT pg_sleep(%s)", (min(seconds, 10.0),))
        rows = await connection.execute("SELECT article, sum(amount)::int FROM orders GROUP BY article")
        return dict(await rows.fetchall())


@app.get("/payment")
async def payment(fail: bool = False):
    """A service of somebody else's that does not always work."""
    await asyncio.sleep(0.01)
    if fail:
        raise HTTPException(502, "the payment service does not answer")
    return {"status": "paid"}
