# Suite `peers`: a relation of N pairs, read from both sides, beside what one would
# otherwise take on the BEAM or next to it. `peers/` has a file for each of them, and
# `peers/peer.exs` says what a peer has to do; a line below adds it to all cases.
#
#   batch_100, batch_1000      pairs a second of one caller who inserts batches
#   pair_bytes                 what a pair takes then, both directions
#   steal_1000                 pairs a second of a one_to_many whose items get new
#                              owners, in batches of 1,000
#   calls_1_read, _insert      one caller: is this pair there; insert a new pair; _p99
#   calls_C_read, _insert      the same of 8, 64, 512 callers at once
#   hop_fwd, hop_bwd           the partners of a key, eight on average, of one caller
#   hop_2                      what is at most two pairs away, each once with its level
#   reach                      how many can be reached from one, nearly all, when a pair
#                              has just been inserted
#   page                       50 pairs from the middle of all on
#
# Both sides are uniform in 1..N/8, so that pairs are edges as well. Calls with a
# C are a second's; those of one caller are medians in microseconds.

for file <- ~w(support server redis peers/peer peers/rhizome peers/ets peers/digraph
               peers/gen_server peers/mnesia peers/redis peers/sql peers/sqlite peers/postgres) do
  Code.require_file("#{file}.exs", __DIR__)
end

alias Bench.Peer

subjects = [
  {"rhizome", Peer.Rhizome},
  {"ets", Peer.Ets},
  {"ets_bag", Peer.EtsBag},
  {"digraph", Peer.Digraph},
  {"gen_server", Peer.GenServer},
  {"mnesia", Peer.Mnesia},
  {"mnesia_dirty", Peer.MnesiaDirty},
  {"redis", Peer.Redis},
  {"redis_gathered", Peer.RedisGathered},
  {"redis_zset", Peer.RedisSorted},
  {"sqlite", Peer.Sqlite},
  {"postgres", Peer.Postgres}
]

options = Bench.parse("peers", System.argv())
n = options.n || if options.quick, do: 50_000, else: 300_000
keys = div(n, 8)
rounds = if options.quick, do: 1, else: 3
calls = if options.quick, do: 300, else: 3_000
duration = if options.quick, do: 80, else: 400

subjects =
  Enum.filter(subjects, fn {name, module} ->
    why = module.available()
    if why != :ok, do: IO.puts(:stderr, "peers: #{name} is not measured: #{why}")
    why == :ok
  end)

defmodule Bench.Pairs do
  # `n` different pairs of 1..keys, the same on every run.
  def new(n, keys), do: more(%{}, n, keys, :rand.seed_s(:exsss, 42))

  defp more(pairs, n, keys, state) when map_size(pairs) < n do
    {a, state} = :rand.uniform_s(keys, state)
    {b, state} = :rand.uniform_s(keys, state)
    more(Map.put(pairs, {a, b}, map_size(pairs)), n, keys, state)
  end

  # In the order in which they were drawn.
  defp more(pairs, _n, _keys, _state) do
    pairs |> Enum.sort_by(&elem(&1, 1)) |> Enum.map(&elem(&1, 0))
  end
end

reads =
  ["calls_1_read", "calls_1_read_p99", "hop_fwd", "hop_bwd", "hop_2", "reach", "page"] ++
    for(callers <- [8, 64, 512], do: "calls_#{callers}_read")

inserts =
  ["calls_1_insert", "calls_1_insert_p99"] ++
    for(callers <- [8, 64, 512], do: "calls_#{callers}_insert")

loads = ["batch_1000", "pair_bytes"]
all = ["batch_100", "steal_1000"] ++ loads ++ reads ++ inserts
pairs = if Bench.wanted?(options, all), do: Bench.Pairs.new(n, keys), else: []

# One case of all subjects; `fun` takes a module and returns results.
run = fn cases, n, rounds, subjects, fun ->
  Bench.run(
    options,
    cases,
    n,
    rounds,
    for({name, module} <- subjects, do: {name, fn -> fun.(module) end})
  )
end

check! = fn
  expected, expected, _what -> :ok
  got, expected, what -> raise "#{what}: #{inspect(got)}, not #{inspect(expected)}"
end

## Batches

insert_all = fn module, instance, pairs, size ->
  chunks = Enum.chunk_every(pairs, size)
  took = Bench.seconds(fn -> Enum.each(chunks, &module.insert_all(instance, &1)) end)
  check!.(module.count(instance), length(pairs), "pairs of #{inspect(module)}")
  length(pairs) / took
end

some = Enum.take(pairs, div(n, 10))

run.(["batch_100"], length(some), rounds, subjects, fn module ->
  instance = module.start(:many_to_many)
  rate = insert_all.(module, instance, some, 100)
  module.stop(instance)
  [{"batch_100", "pairs_per_s", rate}]
end)

# The instance of the last round stays, for the reads.
drop = fn module ->
  with instance when instance != nil <- Process.delete(module), do: module.stop(instance)
end

load = fn module ->
  drop.(module)
  instance = module.start(:many_to_many)
  rate = insert_all.(module, instance, pairs, 1000)
  Peer.settle(module, instance)
  Process.put(module, instance)
  [{"batch_1000", "pairs_per_s", rate}, {"pair_bytes", "bytes", module.bytes(instance) / n}]
end

loaded = fn module -> Process.get(module) || (load.(module) && Process.get(module)) end

run.(loads, n, rounds, subjects, load)

## Steal

able = fn function, arity ->
  Enum.filter(subjects, fn {_name, module} -> Peer.can?(module, function, arity) end)
end

items = div(n, 10)
:rand.seed(:exsss, 42)

owners = fn seed ->
  for item <- 1..items//1, do: {:erlang.phash2({seed, item}, div(items, 8)) + 1, item}
end

run.(["steal_1000"], items, rounds, able.(:steal_all, 2), fn module ->
  instance = module.start(:one_to_many)
  in_batches = fn pairs -> pairs |> Enum.shuffle() |> Enum.chunk_every(1000) end
  for batch <- in_batches.(owners.(1)), do: module.steal_all(instance, batch)
  batches = in_batches.(owners.(2))
  took = Bench.seconds(fn -> Enum.each(batches, &module.steal_all(instance, &1)) end)

  check!.(module.count(instance), items, "items of #{inspect(module)}")

  for {owner, item} <- Enum.take_random(owners.(2), 100) do
    check!.(module.bwd(instance, item), [owner], "owner in #{inspect(module)}")
    check!.(item in module.fwd(instance, owner), true, "item in #{inspect(module)}")
  end

  module.stop(instance)
  [{"steal_1000", "pairs_per_s", items / took}]
end)

## Reads

# Callers ask for these in turn. They are in no process, so that to start
# one copies nothing.
:persistent_term.put(Bench.Pairs, List.to_tuple(pairs))
probe = fn i -> elem(:persistent_term.get(Bench.Pairs), rem(i * 7919, n)) end
key = fn i -> rem(i * 7919, keys) + 1 end

if Bench.wanted?(options, reads) do
  answers = fn module ->
    instance = loaded.(module)

    for i <- 1..50 do
      {Enum.sort(module.fwd(instance, key.(i))), Enum.sort(module.bwd(instance, key.(i))),
       Enum.sort(Peer.two_hop(module, instance, key.(i)))}
    end
  end

  expected = answers.(Peer.Ets)
  for {name, module} <- subjects, do: check!.(answers.(module), expected, "answers of #{name}")
end

p50 = fn case_name, count, fun ->
  Bench.latencies(div(count, 10), fun)
  [{case_name, "us_p50", Bench.percentile(Bench.latencies(count, fun), 0.5)}]
end

# p50 and p99
single = fn case_name, count, fun ->
  Bench.latencies(div(count, 10), fun)
  sorted = Bench.latencies(count, fun)

  [
    {case_name, "us_p50", Bench.percentile(sorted, 0.5)},
    {case_name <> "_p99", "us_p99", Bench.percentile(sorted, 0.99)}
  ]
end

run.(["calls_1_read", "calls_1_read_p99"], n, rounds, subjects, fn module ->
  instance = loaded.(module)

  single.("calls_1_read", calls, fn i ->
    {a, b} = probe.(i)
    true = module.member?(instance, a, b)
  end)
end)

for callers <- [8, 64, 512], case_name = "calls_#{callers}_read" do
  run.([case_name], n, rounds, subjects, fn module ->
    instance = loaded.(module)

    rate =
      Bench.throughput(callers, duration, fn i ->
        {a, b} = probe.(i)
        true = module.member?(instance, a, b)
      end)

    [{case_name, "ops_per_s", rate}]
  end)
end

for {case_name, function} <- [{"hop_fwd", :fwd}, {"hop_bwd", :bwd}] do
  run.([case_name], n, rounds, subjects, fn module ->
    instance = loaded.(module)
    p50.(case_name, calls, fn i -> apply(module, function, [instance, key.(i)]) end)
  end)
end

run.(["hop_2"], n, rounds, subjects, fn module ->
  instance = loaded.(module)
  p50.("hop_2", div(calls, 3), fn i -> Peer.two_hop(module, instance, key.(i)) end)
end)

# A pair more before each: nobody has what an earlier round may have left behind.
if Bench.wanted?(options, ["reach"]) do
  start = key.(1)
  reached = Peer.reached(Peer.Ets, loaded.(Peer.Ets), start)

  run.(["reach"], n, rounds, subjects, fn module ->
    instance = loaded.(module)
    more = Process.get({:more, module}, 0) + 1
    Process.put({:more, module}, more)
    module.insert(instance, start, n + more)

    took =
      Bench.seconds(fn ->
        check!.(Peer.reached(module, instance, start), reached + more, inspect(module))
      end)

    [{"reach", "ms", 1000 * took}]
  end)
end

if Bench.wanted?(options, ["page"]) do
  expected = Peer.Ets.page(loaded.(Peer.Ets), div(n, 2), 50)

  run.(["page"], n, rounds, able.(:page, 3), fn module ->
    instance = loaded.(module)
    page = fn _ -> check!.(module.page(instance, div(n, 2), 50), expected, inspect(module)) end
    page.(0)
    [{"page", "us_p50", Bench.percentile(Bench.latencies(11, page), 0.5)}]
  end)
end

## Inserts of one pair

# Pairs that are nowhere yet: each measurement has numbers of its own.
fresh = :counters.new(1, [])

new_pairs = fn ->
  :counters.add(fresh, 1, 1_000_000_000)
  base = :counters.get(fresh, 1)
  fn i -> {key.(i), base + i} end
end

inserting = fn module, fun ->
  instance = loaded.(module)
  before = module.count(instance)
  {made, result} = fun.(instance, new_pairs.())
  check!.(module.count(instance), before + made, "pairs of #{inspect(module)}")
  result
end

run.(["calls_1_insert", "calls_1_insert_p99"], n, rounds, subjects, fn module ->
  inserting.(module, fn instance, pair ->
    # The first tenth is made again after it.
    {calls,
     single.("calls_1_insert", calls, fn i ->
       {a, b} = pair.(i)
       module.insert(instance, a, b)
     end)}
  end)
end)

for callers <- [8, 64, 512], case_name = "calls_#{callers}_insert" do
  run.([case_name], n, rounds, subjects, fn module ->
    inserting.(module, fn instance, pair ->
      {made, rate} =
        Bench.calls(callers, duration, fn i ->
          {a, b} = pair.(i)
          module.insert(instance, a, b)
        end)

      {made, [{case_name, "ops_per_s", rate}]}
    end)
  end)
end

for {_name, module} <- subjects, do: drop.(module)
