defmodule Bench.Postgres do
  # A PostgreSQL server of our own on a Unix socket, and a client for it: prepared
  # statements with parameters and results in binary form, section "Frontend/Backend
  # Protocol" of its manual. Nothing is safe from a crash, as in the other peers:
  # no syncs, and tables are not logged.

  use GenServer

  @settings [
    listen_addresses: "",
    max_connections: 40,
    shared_buffers: "512MB",
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    autovacuum: "off",
    log_min_messages: "error"
  ]

  def directory do
    case Path.wildcard("/usr/lib/postgresql/*/bin/postgres") do
      [] -> nil
      found -> found |> List.last() |> Path.dirname()
    end
  end

  # It refuses to run as root, and then runs as the user that its package made.
  def start! do
    path = Bench.Server.new_directory()
    own(path)
    data = Path.join(path, "data")
    run!(["cp", "-r", new_data(), data])
    settings = for {name, value} <- @settings, do: "--#{name}=#{value}"

    server =
      Bench.Server.start!(
        as_user() ++ [Path.join(directory(), "postgres"), "-D", data, "-k", path] ++ settings,
        fn -> match?({:ok, _socket}, connect(path)) end
      )

    Map.put(server, :path, path)
  end

  # The files of a server that has never run. To make them takes longer than to start
  # it, so it is done once.
  defp new_data do
    with nil <- Process.get(__MODULE__) do
      path = Bench.Server.new_directory()
      System.at_exit(fn _status -> File.rm_rf!(path) end)
      own(path)
      data = Path.join(path, "data")

      run!(
        [Path.join(directory(), "initdb"), "--pgdata", data, "--username", "bench"] ++
          ["--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"]
      )

      Process.put(__MODULE__, data)
      data
    end
  end

  defp run!(command) do
    [program | arguments] = as_user() ++ command
    {said, status} = System.cmd(program, arguments, stderr_to_stdout: true, cd: "/")
    if status != 0, do: raise("#{program}: #{said}")
  end

  defp as_user do
    if root?(), do: ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"], else: []
  end

  defp own(path), do: if(root?(), do: {_said, 0} = System.cmd("chown", ["postgres", path]))
  defp root?, do: System.cmd("id", ["-u"]) == {"0\n", 0}

  def stop(server) do
    Bench.Server.stop(server)
    File.rm_rf!(server.path)
  end

  ## A connection

  # `statements` are {name, SQL}.
  def start_link({path, statements}), do: GenServer.start_link(__MODULE__, {path, statements})

  # The rows of a statement; a parameter is an integer or a list of them, and so is
  # what a row has.
  def run(connection, name, parameters) do
    bytes = IO.iodata_to_binary(execution(name, parameters))
    connection |> GenServer.call({:run, bytes}, :infinity) |> rows()
  end

  # Statements without parameters or results.
  def script(connection, sql) do
    GenServer.call(connection, {:run, message(?Q, [sql, 0])}, :infinity)
    :ok
  end

  @impl true
  def init({path, statements}) do
    {:ok, socket} = connect(path)

    for {name, sql} <- statements do
      :ok = :gen_tcp.send(socket, [message(?P, [name, 0, sql, 0, <<0::16>>]), message(?S, [])])
      _done = answer(socket, [])
    end

    {:ok, socket}
  end

  @impl true
  def handle_call({:run, bytes}, _from, socket) do
    :ok = :gen_tcp.send(socket, bytes)
    {:reply, answer(socket, []), socket}
  end

  # {:ok, socket} when the server is ready for a statement.
  defp connect(path) do
    address = {:local, Path.join(path, ".s.PGSQL.5432")}

    with {:ok, socket} <- :gen_tcp.connect(address, 0, [:binary, active: false]) do
      words = ["user", 0, "bench", 0, "database", 0, "postgres", 0, 0]
      start = IO.iodata_to_binary([<<3::16, 0::16>>, words])
      :ok = :gen_tcp.send(socket, [<<byte_size(start) + 4::32>>, start])
      await_ready(socket)
    end
  end

  defp await_ready(socket) do
    with {:ok, <<type, size::32>>} <- :gen_tcp.recv(socket, 5),
         {:ok, _body} <- receive_bytes(socket, size - 4) do
      case type do
        ?Z -> {:ok, socket}
        ?E -> {:error, :not_ready}
        _other -> await_ready(socket)
      end
    end
  end

  defp receive_bytes(_socket, 0), do: {:ok, ""}
  defp receive_bytes(socket, count), do: :gen_tcp.recv(socket, count)

  # Everything up to ReadyForQuery, whose six bytes come last.
  defp answer(socket, parts) do
    {:ok, bytes} = :gen_tcp.recv(socket, 0)
    parts = [parts | bytes]

    if ready?(bytes) do
      bytes = IO.iodata_to_binary(parts)
      if whole?(bytes), do: bytes, else: answer(socket, bytes)
    else
      answer(socket, parts)
    end
  end

  defp ready?(bytes) when byte_size(bytes) >= 6 do
    match?(<<?Z, 5::32, _status>>, binary_part(bytes, byte_size(bytes), -6))
  end

  defp ready?(_bytes), do: false

  # Bytes of a row may look like the end.
  defp whole?(<<?Z, 5::32, _status>>), do: true

  defp whole?(<<_type, size::32, rest::binary>>) when byte_size(rest) >= size - 4 do
    whole?(binary_part(rest, size - 4, byte_size(rest) - size + 4))
  end

  defp whole?(_part), do: false

  ## Messages

  defp message(type, body) do
    body = IO.iodata_to_binary(body)
    [type, <<byte_size(body) + 4::32>>, body]
  end

  # Bind, Execute and Sync: parameters and results are binary.
  defp execution(name, parameters) do
    [
      message(?B, [
        [0, name, 0, <<1::16, 1::16, length(parameters)::16>>],
        Enum.map(parameters, &parameter/1),
        <<1::16, 1::16>>
      ]),
      message(?E, [0, <<0::32>>]),
      message(?S, [])
    ]
  end

  defp parameter(value) when is_integer(value), do: <<8::32, value::64>>

  # An array of bigint (type 20) of one dimension, from 1 on.
  defp parameter(values) do
    items = for value <- values, into: "", do: <<8::32, value::64>>
    [<<byte_size(items) + 20::32, 1::32, 0::32, 20::32, length(values)::32, 1::32>>, items]
  end

  defp rows(<<?D, size::32, rest::binary>>) do
    body_size = size - 4
    <<body::binary-size(body_size), rest::binary>> = rest
    <<_columns::16, columns::binary>> = body
    row = for <<8::32, value::signed-64 <- columns>>, do: value
    [List.to_tuple(row) | rows(rest)]
  end

  defp rows(<<?E, size::32, rest::binary>>) do
    raise "PostgreSQL says: #{inspect(binary_part(rest, 0, size - 4))}"
  end

  defp rows(<<?Z, _rest::binary>>), do: []

  defp rows(<<_type, size::32, rest::binary>>) do
    rows(binary_part(rest, size - 4, byte_size(rest) - size + 4))
  end
end

defmodule Bench.Peer.Postgres do
  # An unlogged table with a primary key, and an index the other way. Callers share
  # sixteen connections, each a process; a batch is one statement of two arrays.
  @behaviour Bench.Peer

  alias Bench.Postgres

  @connections 16

  @impl true
  def available do
    if Postgres.directory(),
      do: :ok,
      else: "there is no server in /usr/lib/postgresql; it comes with the package postgresql"
  end

  @impl true
  def start(type) do
    server = Postgres.start!()
    {:ok, first} = Postgres.start_link({server.path, []})
    :ok = Postgres.script(first, schema(type))
    GenServer.stop(first)

    connections =
      for _ <- 1..@connections do
        {:ok, connection} = Postgres.start_link({server.path, statements(type)})
        connection
      end

    %{server: server, connections: List.to_tuple(connections)}
  end

  defp schema(:many_to_many) do
    "CREATE UNLOGGED TABLE pairs (a bigint, b bigint, PRIMARY KEY (a, b));" <>
      "CREATE INDEX back ON pairs (b, a)"
  end

  defp schema(:one_to_many) do
    "CREATE UNLOGGED TABLE pairs (a bigint NOT NULL, b bigint PRIMARY KEY);" <>
      "CREATE INDEX owners ON pairs (a, b)"
  end

  defp statements(type) do
    [
      {"insert_all",
       "INSERT INTO pairs SELECT * FROM unnest($1::bigint[], $2::bigint[]) " <>
         "ON CONFLICT DO NOTHING"},
      {"insert", "INSERT INTO pairs VALUES ($1::bigint, $2::bigint) ON CONFLICT DO NOTHING"},
      {"member", "SELECT 1::bigint FROM pairs WHERE a = $1::bigint AND b = $2::bigint"},
      {"fwd", "SELECT b FROM pairs WHERE a = $1::bigint"},
      {"bwd", "SELECT a FROM pairs WHERE b = $1::bigint"},
      {"fwd_many", "SELECT a, b FROM pairs WHERE a = ANY ($1::bigint[])"},
      {"count", "SELECT count(*) FROM pairs"},
      {"bytes", "SELECT pg_total_relation_size('pairs')"},
      {"page", "SELECT a, b FROM pairs ORDER BY a, b LIMIT $1::bigint OFFSET $2::bigint"},
      {"two_hop", two_hop()}
      | if(type == :one_to_many, do: [{"steal_all", steal_all()}], else: [])
    ]
  end

  defp two_hop do
    "SELECT id, level::bigint FROM (#{Bench.Sql.two_hop("$1::bigint")}) AS f (id, level)"
  end

  defp steal_all do
    "INSERT INTO pairs SELECT * FROM unnest($1::bigint[], $2::bigint[]) " <>
      "ON CONFLICT (b) DO UPDATE SET a = excluded.a"
  end

  @impl true
  def stop(%{server: server, connections: connections}) do
    for connection <- Tuple.to_list(connections), do: GenServer.stop(connection)
    Postgres.stop(server)
  end

  @impl true
  def insert_all(instance, pairs) do
    {as, bs} = Enum.unzip(pairs)
    run(instance, "insert_all", [as, bs])
  end

  @impl true
  def insert(instance, a, b), do: run(instance, "insert", [a, b])

  @impl true
  def member?(instance, a, b), do: [{1}] == run(instance, "member", [a, b])

  @impl true
  def fwd(instance, a), do: for({b} <- run(instance, "fwd", [a]), do: b)

  @impl true
  def bwd(instance, b), do: for({a} <- run(instance, "bwd", [b]), do: a)

  # A key without partners has no row, which makes no difference to a search.
  @impl true
  def fwd_many(instance, keys), do: [for({_a, b} <- run(instance, "fwd_many", [keys]), do: b)]

  @impl true
  def count(instance) do
    [{count}] = run(instance, "count", [])
    count
  end

  # What its tables and indices take, as it says itself.
  @impl true
  def bytes(instance) do
    [{bytes}] = run(instance, "bytes", [])
    bytes
  end

  # Plans come from what it knows of its tables. It would find out by itself, and not
  # while something is measured.
  @impl true
  def settle(%{connections: connections}) do
    :ok = Postgres.script(elem(connections, 0), "VACUUM ANALYZE pairs")
  end

  @impl true
  def steal_all(instance, pairs) do
    {as, bs} = Enum.unzip(pairs)
    run(instance, "steal_all", [as, bs])
  end

  @impl true
  def page(instance, position, amount), do: run(instance, "page", [amount, position])

  @impl true
  def two_hop(instance, start), do: run(instance, "two_hop", [start])

  defp run(%{connections: connections}, name, parameters) do
    connection = elem(connections, :erlang.phash2(self(), @connections))
    Postgres.run(connection, name, parameters)
  end
end
