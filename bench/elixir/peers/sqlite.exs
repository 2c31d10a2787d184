defmodule Bench.Peer.Sqlite do
  # SQLite in memory, through the Erlang client of the package erlang-p1-sqlite3: a
  # process a database, a driver in the VM that works on a thread of its own. A table
  # without rowids that is ordered by (a, b), and an index the other way; a batch is
  # one statement.
  @behaviour Bench.Peer

  @impl true
  def available do
    if Code.ensure_loaded?(:sqlite3),
      do: :ok,
      else: "the package erlang-p1-sqlite3 is missing"
  end

  @impl true
  def start(type) do
    name = :"sqlite_#{System.unique_integer([:positive])}"
    {:ok, database} = :sqlite3.start_link(name, [:in_memory])
    for sql <- schema(type), do: run(database, sql, [])
    {database, type}
  end

  # An item has one owner.
  defp schema(:one_to_many) do
    [
      "CREATE TABLE pairs (a INTEGER NOT NULL, b INTEGER PRIMARY KEY)",
      "CREATE INDEX owners ON pairs (a, b)"
    ]
  end

  defp schema(:many_to_many) do
    [
      "CREATE TABLE pairs (a INTEGER, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID",
      "CREATE INDEX back ON pairs (b, a)"
    ]
  end

  @impl true
  def stop({database, _type}), do: :sqlite3.close(database)

  @impl true
  def insert_all({database, _type}, pairs) do
    run(database, ["INSERT OR IGNORE INTO pairs VALUES ", values(pairs)], [])
  end

  # Numbers need no quoting.
  defp values(pairs) do
    Enum.map_intersperse(pairs, ",", fn {a, b} ->
      ["(", Integer.to_string(a), ",", Integer.to_string(b), ")"]
    end)
  end

  @impl true
  def insert({database, _type}, a, b) do
    run(database, "INSERT OR IGNORE INTO pairs VALUES (?1, ?2)", [a, b])
  end

  @impl true
  def member?({database, _type}, a, b) do
    [{1}] == rows(database, "SELECT 1 FROM pairs WHERE a = ?1 AND b = ?2", [a, b])
  end

  @impl true
  def fwd({database, _type}, a) do
    for {b} <- rows(database, "SELECT b FROM pairs WHERE a = ?1", [a]), do: b
  end

  @impl true
  def bwd({database, _type}, b) do
    for {a} <- rows(database, "SELECT a FROM pairs WHERE b = ?1", [b]), do: a
  end

  @impl true
  def count({database, _type}) do
    [{count}] = rows(database, "SELECT count(*) FROM pairs", [])
    count
  end

  # Pages in use.
  @impl true
  def bytes({database, _type}) do
    [{pages}] = rows(database, "PRAGMA page_count", [])
    [{page_bytes}] = rows(database, "PRAGMA page_size", [])
    pages * page_bytes
  end

  @impl true
  def steal_all({database, _type}, pairs) do
    run(database, ["INSERT OR REPLACE INTO pairs VALUES ", values(pairs)], [])
  end

  @impl true
  def page({database, _type}, position, amount) do
    rows(database, "SELECT a, b FROM pairs ORDER BY a, b LIMIT ?1 OFFSET ?2", [amount, position])
  end

  @impl true
  def two_hop({database, _type}, start) do
    rows(database, Bench.Sql.two_hop("?1"), [start])
  end

  # A table of what was seen, a statement a level.
  @impl true
  def reached({database, _type}, start) do
    run(database, "CREATE TEMP TABLE seen (id INTEGER PRIMARY KEY, level INTEGER)", [])
    run(database, "CREATE INDEX temp.levels ON seen (level)", [])
    run(database, "INSERT INTO seen VALUES (?1, 0)", [start])
    count = levels(database, 0, 1)
    run(database, "DROP TABLE seen", [])
    count
  end

  defp levels(database, level, count) do
    sql =
      "INSERT OR IGNORE INTO seen SELECT b, #{level + 1} FROM seen " <>
        "JOIN pairs ON a = id WHERE level = #{level}"

    run(database, sql, [])

    case rows(database, "SELECT count(*) FROM seen", []) do
      [{^count}] -> count
      [{more}] -> levels(database, level + 1, more)
    end
  end

  @impl true
  def holder({database, _type}), do: database

  defp rows(database, sql, parameters) do
    [columns: _names, rows: rows] = run(database, sql, parameters)
    rows
  end

  defp run(database, sql, parameters) do
    case :sqlite3.sql_exec_timeout(database, sql, parameters, :infinity) do
      {:error, code, reason} -> raise "SQLite says: #{inspect(reason)} (#{inspect(code)})"
      answer -> answer
    end
  end
end
