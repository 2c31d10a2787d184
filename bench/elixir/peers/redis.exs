defmodule Bench.Peer.Redis do
  # A set a key and direction: f:1 has the partners of 1, b:2 those of 2 the other
  # way. The two commands of an insert go in one write. Of a one_to_many the other
  # way are strings, for there is one owner.
  @behaviour Bench.Peer

  @impl true
  def available do
    if Bench.Redis.executable(), do: :ok, else: "the package redis-tools is missing"
  end

  @impl true
  def start(type) do
    server = Bench.Redis.start!(["--appendonly", "no"])
    before = Bench.Server.resident(server.os_pid)
    %{server: server, before: before, type: type, ask: &Bench.Redis.ask(server.number, &1, &2)}
  end

  @impl true
  def stop(%{server: server}), do: Bench.Redis.stop(server)

  @impl true
  def insert_all(instance, pairs), do: ask(instance, Enum.flat_map(pairs, &puts/1))

  @impl true
  def insert(instance, a, b), do: [_, _] = ask(instance, puts({a, b}))

  @impl true
  def member?(instance, a, b), do: [1] == ask(instance, [["SISMEMBER", "f:#{a}", b]])

  @impl true
  def fwd(instance, a), do: members(instance, "f:#{a}")

  @impl true
  def bwd(%{type: :many_to_many} = instance, b), do: members(instance, "b:#{b}")

  def bwd(instance, item) do
    for owner <- ask(instance, [["GET", "b:#{item}"]]), owner, do: String.to_integer(owner)
  end

  @impl true
  def fwd_many(instance, keys) do
    for partners <- ask(instance, for(key <- keys, do: ["SMEMBERS", "f:#{key}"])) do
      Enum.map(partners, &String.to_integer/1)
    end
  end

  # It counts sets and not what is in them.
  @impl true
  def count(instance) do
    instance |> keys("0", []) |> Enum.map(&count_of(instance, &1)) |> Enum.sum()
  end

  defp keys(instance, cursor, found) do
    case ask(instance, [["SCAN", cursor, "MATCH", "f:*", "COUNT", 10_000]]) do
      [["0", keys]] -> [keys | found]
      [[cursor, keys]] -> keys(instance, cursor, [keys | found])
    end
  end

  defp count_of(instance, keys) do
    instance |> ask(for(key <- keys, do: ["SCARD", key])) |> Enum.sum()
  end

  @impl true
  def bytes(%{server: server, before: before}), do: Bench.Server.resident(server.os_pid) - before

  # Two trips: who has them, and then all changes.
  @impl true
  def steal_all(instance, pairs) do
    owners = ask(instance, [["MGET" | for({_owner, item} <- pairs, do: "b:#{item}")]]) |> hd()

    commands =
      for {{owner, item}, old} <- Enum.zip(pairs, owners),
          command <- steal("#{owner}", item, old),
          do: command

    ask(instance, commands)
  end

  defp steal(owner, _item, owner), do: []

  defp steal(owner, item, old) do
    put = [["SADD", "f:" <> owner, item], ["SET", "b:#{item}", owner]]
    if old, do: [["SREM", "f:" <> old, item] | put], else: put
  end

  defp puts({a, b}), do: [["SADD", "f:#{a}", b], ["SADD", "b:#{b}", a]]

  defp members(instance, key) do
    [members] = ask(instance, [["SMEMBERS", key]])
    Enum.map(members, &String.to_integer/1)
  end

  def ask(_instance, []), do: []

  def ask(%{ask: ask}, commands) do
    ask.(Enum.map(commands, &Bench.Redis.encode/1), length(commands))
  end
end

defmodule Bench.Peer.RedisGathered do
  # The same over one connection for all callers, which gathers what waits.
  @behaviour Bench.Peer

  alias Bench.Peer.Redis
  alias Bench.Redis.Gatherer

  @impl true
  defdelegate available, to: Redis

  @impl true
  def start(type) do
    instance = Redis.start(type)
    {:ok, gatherer} = Gatherer.start_link(instance.server.number)
    %{instance | ask: &Gatherer.ask(gatherer, &1, &2)} |> Map.put(:gatherer, gatherer)
  end

  @impl true
  def stop(instance) do
    GenServer.stop(instance.gatherer)
    Redis.stop(instance)
  end

  for {name, arity} <-
        [insert_all: 2, insert: 3, member?: 3, fwd: 2, bwd: 2, fwd_many: 2] ++
          [count: 1, bytes: 1, steal_all: 2] do
    arguments = Macro.generate_arguments(arity, __MODULE__)
    @impl true
    defdelegate unquote(name)(unquote_splicing(arguments)), to: Redis
  end
end

defmodule Bench.Peer.RedisSorted do
  # Two sorted sets, all of score 0, whose members "a:b" and "b:a" are ordered by their
  # bytes: numbers have leading zeros, and partners of a key are a range.
  @behaviour Bench.Peer

  alias Bench.Peer.Redis

  @impl true
  defdelegate available, to: Redis

  @impl true
  defdelegate start(type), to: Redis

  @impl true
  defdelegate stop(instance), to: Redis

  @impl true
  defdelegate bytes(instance), to: Redis

  # One command a direction for all of the batch.
  @impl true
  def insert_all(instance, pairs) do
    Redis.ask(instance, [
      ["ZADD", "f" | Enum.flat_map(pairs, fn {a, b} -> ["0", member(a, b)] end)],
      ["ZADD", "b" | Enum.flat_map(pairs, fn {a, b} -> ["0", member(b, a)] end)]
    ])
  end

  @impl true
  def insert(instance, a, b), do: [_, _] = insert_all(instance, [{a, b}])

  @impl true
  def member?(instance, a, b), do: ["0"] == Redis.ask(instance, [["ZSCORE", "f", member(a, b)]])

  @impl true
  def fwd(instance, a), do: hd(ranges(instance, "f", [a]))

  @impl true
  def bwd(instance, b), do: hd(ranges(instance, "b", [b]))

  @impl true
  def fwd_many(instance, keys), do: ranges(instance, "f", keys)

  @impl true
  def count(instance), do: instance |> Redis.ask([["ZCARD", "f"]]) |> hd()

  @impl true
  def page(instance, position, amount) do
    [members] = Redis.ask(instance, [["ZRANGE", "f", position, position + amount - 1]])
    for <<a::binary-size(12), ":", b::binary>> <- members, do: {to_integer(a), to_integer(b)}
  end

  # ";" comes after ":".
  defp ranges(instance, set, keys) do
    commands =
      for key <- keys do
        key = padded(key)
        ["ZRANGEBYLEX", set, "[" <> key <> ":", "(" <> key <> ";"]
      end

    for members <- Redis.ask(instance, commands) do
      for <<_key::binary-size(12), ":", partner::binary>> <- members, do: to_integer(partner)
    end
  end

  defp member(a, b), do: padded(a) <> ":" <> padded(b)
  defp padded(id), do: id |> Integer.to_string() |> String.pad_leading(12, "0")
  defp to_integer(digits), do: String.to_integer(digits)
end
