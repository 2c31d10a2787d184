defmodule Rhizome.CrashTest do
  # A store is killed with SIGKILL, again and again, at random moments under the
  # load of several callers, and has to come back with what it acknowledged.
  #
  # Each caller has keys of its own and writes one batch at a time, each over
  # two tables: `counts` says which batch was the last, `owns` holds pairs that
  # evict each other. So a model of each caller, and the one batch of which its
  # caller knows nothing, say what the store must hold:
  #
  #     acknowledged              what the model says
  #     unknown result            that, or that and the batch, in both tables
  #     not sent                  what the model says
  #
  # RHIZOME_KILLS=N kills N times under each policy. All choices are made from a
  # seed, ExUnit's own or SEED, which a failure prints; what the schedulers of
  # the machine do in between nobody repeats.
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Error, OsProcess}

  @moduletag :tmp_dir
  @moduletag :capture_log
  @moduletag timeout: 600_000

  @callers 6
  @keys 12
  @values 40
  @acknowledged_at_most 150

  for {sync, name} <- [{:always, :always}, {{:interval, 5}, :interval}, {:none, :none}] do
    @tag sync: sync
    test "#{name}: nothing acknowledged is lost, nothing else is half there", context do
      seed = base_seed()
      :rand.seed(:exsss, {seed, :erlang.phash2(context.sync), 0})
      store = Module.concat(__MODULE__, unquote(name))
      tables = start(store, context)

      try do
        Enum.reduce(1..kills(), models(), fn round, models ->
          kill_under_load(store, tables, models, {seed, round})
        end)
      rescue
        error ->
          IO.puts("\nSEED=#{seed} mix test #{Path.relative_to_cwd(__ENV__.file)} replays this:")
          reraise error, __STACKTRACE__
      end
    end
  end

  # Long enough that it can be hit, and twice in a row.
  test "a recovery that is killed itself is done again", %{tmp_dir: tmp_dir} do
    name = __MODULE__.Twice
    dir = Path.join(tmp_dir, "store")
    tables = start(name, %{tmp_dir: tmp_dir, sync: :none}, ratio: :never)
    large = String.duplicate("x", 1_000)
    rows = for n <- 1..20_000, do: {n, large}

    rows
    |> Enum.chunk_every(500)
    |> Enum.each(&Rhizome.insert_all!(tables.counts, &1))

    digest = Rhizome.digest!(name)
    Enum.reduce(1..2, Process.whereis(name), fn _nth, owner -> kill_recovery(name, owner) end)
    await(fn -> match?({:ok, _digest}, Rhizome.digest(name)) end, 30_000)
    assert Rhizome.digest!(name) == digest
    assert Rhizome.Log.info(dir).bytes > 20_000_000
  end

  ## The store

  # Whoever stands behind the store in its supervisor is started anew with it,
  # and tells.
  defp start(name, %{tmp_dir: tmp_dir, sync: sync}, checkpoint \\ [ratio: 1, min_bytes: 100_000]) do
    test = self()

    children = [
      {Rhizome,
       name: name,
       dir: Path.join(tmp_dir, "store"),
       sync: sync,
       segment_bytes: 64 * 1024,
       checkpoint: checkpoint,
       start_timeout: 20_000,
       timeout: 60_000},
      Supervisor.child_spec({Agent, fn -> send(test, {:up, name}) end}, id: :tells)
    ]

    start_supervised!(%{
      id: name,
      type: :supervisor,
      start:
        {Supervisor, :start_link,
         [children, [strategy: :rest_for_one, max_restarts: 1_000, max_seconds: 1]]}
    })

    assert_receive {:up, ^name}
    create(name)
  end

  defp create(store) do
    %{
      counts: Rhizome.create_table!(store, :counts, :to_one),
      owns: Rhizome.create_table!(store, :owns, :one_to_many)
    }
  end

  ## A round

  defp kill_under_load(store, tables, models, {seed, round}) do
    daemon = daemon(store)
    test = self()
    ref = make_ref()

    callers =
      for {caller, model} <- models do
        Task.async(fn ->
          :rand.seed(:exsss, {seed, round, caller})
          {caller, call(store, tables, caller, model, fn -> send(test, ref) end)}
        end)
      end

    for _n <- 1..:rand.uniform(@acknowledged_at_most), do: assert_receive(^ref, 30_000)
    signal(daemon, "KILL")
    ends = Task.await_many(callers, 60_000)
    assert_receive {:up, ^store}, 30_000
    flush(ref)
    check(store, tables, ends, round)
  end

  # Batch after batch, until one fails: what is certain, and what became of the
  # last one.
  defp call(store, tables, caller, model, tell) do
    {batch, next} = batch(tables, caller, model)

    case Rhizome.run(store, batch) do
      {:ok, _results} ->
        tell.()
        call(store, tables, caller, next, tell)

      {:error, %Error{code: :unknown_result, details: %{outcome: :unknown}}} ->
        {model, {:unknown, next}}

      {:error, %Error{code: code, details: %{outcome: :not_sent}}}
      when code in [:daemon_down, :stopped] ->
        {model, :not_sent}
    end
  end

  ## What must be there

  defp models, do: for(caller <- 1..@callers, do: {caller, %{count: 0, note: "", pairs: %{}}})

  # Some changes of pairs and always a new count.
  defp batch(%{counts: counts, owns: owns}, caller, model) do
    count = model.count + 1
    note = String.duplicate("x", :rand.uniform(400))
    batch = Batch.put(Batch.new(), counts, caller, {count, note})
    model = %{model | count: count, note: note}

    Enum.reduce(1..:rand.uniform(3), {batch, model}, fn _nth, {batch, model} ->
      key = {caller, :rand.uniform(@keys)}
      value = {caller, :rand.uniform(@values)}

      case :rand.uniform(10) do
        n when n <= 6 ->
          {Batch.put(batch, owns, key, value), put_in(model.pairs[value], key)}

        n when n <= 8 ->
          {Batch.delete(batch, Rhizome.bwd(owns), {value, key}),
           update_in(model.pairs, &if(&1[value] == key, do: Map.delete(&1, value), else: &1))}

        _rest ->
          {Batch.delete_key(batch, owns, key),
           update_in(model.pairs, &Map.reject(&1, fn {_value, owner} -> owner == key end))}
      end
    end)
  end

  defp check(store, %{counts: counts, owns: owns}, ends, round) do
    found_counts = Map.new(Rhizome.to_list(counts))
    found_pairs = Rhizome.to_list(owns)

    assert Enum.sort(for {value, key} <- Rhizome.to_list(Rhizome.bwd(owns)), do: {key, value}) ==
             Enum.sort(found_pairs),
           "round #{round}: fwd and bwd disagree"

    by_caller = Enum.group_by(found_pairs, fn {{caller, _key}, _value} -> caller end)

    models =
      for {caller, {certain, last}} <- ends do
        {count, note} = Map.get(found_counts, caller, {0, ""})
        pairs = for {key, value} <- Map.get(by_caller, caller, []), into: %{}, do: {value, key}
        found = %{count: count, note: note, pairs: pairs}

        possible =
          case last do
            {:unknown, next} -> [certain, next]
            :not_sent -> [certain]
          end

        assert found in possible, """
        round #{round}, caller #{caller}: found #{inspect(found, limit: :infinity)}
        possible: #{inspect(possible, limit: :infinity)}
        """

        {caller, found}
      end

    assert Rhizome.digest!(store).digest == digest(models), "round #{round}: the digest differs"
    models
  end

  # Of a new store in memory into which the models are loaded.
  defp digest(models) do
    {:ok, store} = Rhizome.start_link(start_timeout: 20_000)
    tables = create(store)

    for {caller, %{count: count} = model} <- Enum.reverse(models) do
      if count > 0, do: Rhizome.put!(tables.counts, caller, {count, model.note})
      Rhizome.insert_all!(Rhizome.bwd(tables.owns), Map.to_list(model.pairs))
    end

    digest = Rhizome.digest!(store).digest
    Rhizome.stop(store)
    digest
  end

  ## Kills

  # The daemon of the owner that comes after `owner`, before it says hello if
  # we are quick; and of the one after that, if it was.
  defp kill_recovery(name, owner) do
    if os_process = daemon_of(owner), do: OsProcess.kill(os_process)
    await(fn -> Process.whereis(name) not in [nil, owner] end)
    next = Process.whereis(name)
    await(fn -> daemon_of(next) != nil or not Process.alive?(next) end)
    if os_process = daemon_of(next), do: OsProcess.kill(os_process)
    next
  end

  # Others than the one who opens a port may see it before it has a process: 0.
  defp daemon_of(owner) do
    with {:links, links} <- Process.info(owner, :links),
         port when port != nil <- Enum.find(links, &is_port/1),
         {:os_pid, os_pid} when os_pid > 0 <- Port.info(port, :os_pid) do
      OsProcess.new(os_pid)
    else
      _none -> nil
    end
  end

  defp flush(ref) do
    receive do
      ^ref -> flush(ref)
    after
      0 -> :ok
    end
  end

  defp kills, do: String.to_integer(System.get_env("RHIZOME_KILLS", "70"))

  defp base_seed do
    case System.get_env("SEED", "") do
      "" -> ExUnit.configuration()[:seed]
      seed -> String.to_integer(seed)
    end
  end
end
