# A Debian package index as a few tables on the disk, what one can ask them, and
# how they outlive their daemon.
#
#     mix run examples/debian_packages.exs PACKAGES_FILE DIRECTORY
#
# ../demo runs it with the index of this machine.

defmodule Index do
  # A Packages file: paragraphs of "Field: value" lines, an empty line between
  # two of them, a line that starts with a space continues the one before it.

  @read_bytes 512 * 1024

  # The file in pieces of whole paragraphs, read as they are asked for.
  def pieces(path) do
    path
    |> File.open!([:read])
    |> IO.binstream(@read_bytes)
    |> Stream.concat([:end])
    |> Stream.transform("", fn
      :end, "" -> {[], ""}
      :end, rest -> {[rest], ""}
      bytes, rest -> cut(rest <> bytes)
    end)
  end

  defp cut(bytes) do
    case :binary.matches(bytes, "\n\n") do
      [] ->
        {[], bytes}

      matches ->
        {at, 2} = List.last(matches)
        <<piece::binary-size(at), "\n\n", rest::binary>> = bytes
        {[piece], rest}
    end
  end

  # The packages of one piece.
  def parse(piece) do
    for paragraph <- String.split(piece, "\n\n", trim: true),
        %{name: name} = package <- [paragraph(paragraph)] do
      {source, package} = Map.pop(package, :source, name)
      {depends, package} = Map.pop(package, :depends, "")
      {pre_depends, package} = Map.pop(package, :pre_depends, "")
      {provides, package} = Map.pop(package, :provides, "")

      Map.merge(package, %{
        source: bare(source),
        depends: Enum.uniq(names(depends) ++ names(pre_depends)),
        provides: names(provides)
      })
    end
  end

  defp paragraph(text) do
    {fields, _last} =
      text
      |> String.split("\n", trim: true)
      |> Enum.reduce({%{}, nil}, fn
        " " <> more, {fields, last} when last != nil ->
          {Map.update!(fields, last, &(&1 <> " " <> more)), last}

        " " <> _more, acc ->
          acc

        line, {fields, _last} ->
          case field(line) do
            {name, value} -> {Map.put(fields, name, value), name}
            nil -> {fields, nil}
          end
      end)

    fields
  end

  defp field("Package: " <> value), do: {:name, value}
  defp field("Version: " <> value), do: {:version, value}
  defp field("Section: " <> value), do: {:section, value}
  defp field("Source: " <> value), do: {:source, value}
  defp field("Maintainer: " <> value), do: {:maintainer, value}
  defp field("Depends: " <> value), do: {:depends, value}
  defp field("Pre-Depends: " <> value), do: {:pre_depends, value}
  defp field("Provides: " <> value), do: {:provides, value}
  defp field(_line), do: nil

  # "a (>= 1), b:any | c" names a, b and c.
  defp names(list) do
    list |> String.split([",", "|"], trim: true) |> Enum.map(&bare/1) |> Enum.reject(&(&1 == ""))
  end

  # A name without its version in parentheses and its ":architecture".
  defp bare(text) do
    text |> String.trim() |> String.split([" ", "(", ":"], parts: 2) |> hd()
  end
end

defmodule Progress do
  # A bar on a terminal, a line now and then elsewhere.

  @width 30

  def start(total) do
    # A VM without a shell cannot tell; ../demo can.
    terminal? = System.get_env("DEMO_TERMINAL") == "1"
    %{total: max(total, 1), terminal?: terminal?, shown: -1, started: now()}
  end

  def show(progress, done, what) do
    percent = min(div(done * 100, progress.total), 100)
    step = if progress.terminal?, do: 1, else: 25

    if percent >= progress.shown + step or (percent == 100 and progress.shown < 100) do
      seconds = max(now() - progress.started, 1) / 1000
      filled = div(percent * @width, 100)
      bar = String.duplicate("#", filled) <> String.duplicate(".", @width - filled)
      line = "  [#{bar}] #{String.pad_leading("#{percent}", 3)} %  #{what.(seconds)}"
      IO.write(if progress.terminal?, do: ["\r", line, "\e[K"], else: [line, "\n"])
      %{progress | shown: percent}
    else
      progress
    end
  end

  def finish(progress), do: if(progress.terminal?, do: IO.write("\n"))

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule Demo do
  alias Rhizome.{Batch, Error}

  @store Demo.Store

  def run(path, dir) do
    # Reports of what dies, the daemon or the screen, are for logs.
    Logger.configure(level: :none)
    supervisor = start(dir)
    %{version: version, os_pid: os_pid} = Rhizome.info(@store)
    say("A store is running in #{dir.name}: rhizome #{version}, process #{os_pid}, supervised.")
    run = prepare(path)
    tables = create()
    load(tables, run, path)
    check(tables, path)
    checkpoint()
    questions(tables)
    crash()
    digest = Rhizome.digest!(@store)

    last = Rhizome.info(@store).os_pid
    Supervisor.stop(supervisor)
    await(fn -> not File.exists?("/proc/#{last}") end)
    say("\nThe supervisor has stopped, and the daemon with it.")
    replay(dir, digest)
  end

  defp start(dir) do
    store = {Rhizome, name: @store, dir: dir.path, timeout: 60_000, shutdown_timeout: 2_000}
    # A start that fails would take us along before we could say why.
    Process.flag(:trap_exit, true)

    with {:ok, supervisor} <- Supervisor.start_link([store], strategy: :one_for_one),
         :ok <- Rhizome.ping(@store) do
      Process.flag(:trap_exit, false)
      supervisor
    else
      {:error, {:shutdown, {:failed_to_start_child, _id, %Error{} = error}}} -> give_up(error)
      {:error, %Error{} = error} -> give_up(error)
    end
  end

  # A directory that another one holds, or whose log is refused.
  defp give_up(error) do
    IO.puts(:stderr, "demo: #{error.message}")
    exit({:shutdown, 75})
  end

  ## What an earlier run has left

  # Which run this is. One that was interrupted is gone on with if it was about
  # the same file; everything else is dropped.
  defp prepare(path) do
    %{recovered: recovered, seq: seq} = Rhizome.info(@store)
    about = Rhizome.handle(@store, :about, :to_one)
    names = for table <- Rhizome.tables(@store), do: table.name
    back = "back after #{recovered.ms} ms"
    input = input(path)

    cond do
      names == [] ->
        say("The directory is new.\n")
        begin(about, input, seq)

      :about in names and Rhizome.get(about, :input) == input and
          not Rhizome.has_key?(about, :done) ->
        say("An earlier run was interrupted. Its store is #{back}, with")
        say("#{number(recovered.records)} mutations of its log; loading goes on where it was.\n")
        Rhizome.get(about, :run)

      true ->
        say("It holds what an earlier run has left: #{length(names)} tables, #{back}.")
        say("They are dropped now, in one batch.\n")
        tables = Rhizome.tables(@store)
        Rhizome.run!(@store, Enum.reduce(tables, Batch.new(), &Batch.drop_table(&2, &1)))
        begin(about, input, seq)
    end
  end

  # The name of a run goes into the idempotency keys of its mutations: an
  # earlier one has done the same, and that is not meant.
  defp begin(about, input, run) do
    batch =
      Batch.new()
      |> Batch.create_table(:about, :to_one)
      |> Batch.insert_all(about, input: input, run: run)

    Rhizome.run!(@store, batch)
    run
  end

  defp input(path) do
    hash =
      Enum.reduce(
        File.stream!(path, [], 1_000_000),
        :erlang.md5_init(),
        &:erlang.md5_update(&2, &1)
      )

    :erlang.md5_final(hash)
  end

  ## Tables

  # A package is a row; what relates packages goes by their names. `loaded`
  # says which pieces of the file are in.
  defp create do
    %{
      packages: Rhizome.create_table!(@store, :packages, :pom),
      row_of: Rhizome.create_table!(@store, :row_of, :one_to_one),
      depends: Rhizome.create_table!(@store, :depends, :many_to_many),
      maintainer: Rhizome.create_table!(@store, :maintainer, :many_to_one),
      built: Rhizome.create_table!(@store, :built, :one_to_many),
      provides: Rhizome.create_table!(@store, :provides, :many_to_many),
      loaded: Rhizome.create_table!(@store, :loaded, :to_one)
    }
  end

  # Several pieces are parsed and written at a time: the daemon works on one
  # while the VM prepares the next. The one in the middle of the file kills it.
  defp load(tables, run, path) do
    size = File.stat!(path).size
    say("Loading #{Path.basename(path)}, #{div(size, 1_000_000)} MB:")
    progress = Progress.start(size)
    started = System.monotonic_time(:microsecond)
    loader = %{tables: tables, run: run, main: self()}

    {_bytes, packages, elements, crash, progress} =
      path
      |> Index.pieces()
      |> Stream.transform({0, 0}, fn piece, {n, from} ->
        to = from + byte_size(piece) + 2
        {[{n, piece, div(size, 2) in from..(to - 1)}], {n + 1, to}}
      end)
      |> Task.async_stream(&piece(&1, loader),
        max_concurrency: 2 * System.schedulers_online(),
        ordered: false,
        timeout: :infinity
      )
      |> Enum.reduce({0, 0, 0, nil, progress}, fn {:ok, {size, {rows, pairs}, crash}},
                                                  {bytes, packages, elements, first, progress} ->
        {bytes, packages, elements} = {bytes + size, packages + rows, elements + rows + pairs}

        progress =
          Progress.show(progress, bytes, fn seconds ->
            "#{packages} packages, #{number(trunc(elements / seconds))} elements/s"
          end)

        {bytes, packages, elements, crash || first, progress}
      end)

    Progress.finish(progress)
    time = System.monotonic_time(:microsecond) - started
    Rhizome.put!(Rhizome.handle(@store, :about, :to_one), :done, true)
    info = Rhizome.info(@store)

    if crash, do: tell(crash)
    ^packages = Rhizome.count(tables.packages)

    say("""
      #{number(packages)} packages, #{number(elements)} elements in #{map_size(tables) - 1} \
    tables in #{duration(time)}, parsing included;
      the daemon holds them in #{mib(info.memory_bytes)} MiB, its log in #{mib(info.log.log_bytes)} MiB.
    """)
  end

  # A piece that an earlier run has loaded is in `loaded`, put there by the
  # batch that wrote its pairs.
  defp piece({n, text, kill?}, loader) do
    counts = again(loader, fn -> Rhizome.fetch(loader.tables.loaded, n) end)

    case counts do
      :not_found ->
        {counts, crash} = insert(loader, n, Index.parse(text), kill?)
        {byte_size(text) + 2, counts, crash}

      counts ->
        {byte_size(text) + 2, counts, nil}
    end
  end

  # Two mutations, for the pairs hold the ids of the rows. Each has a key, so a
  # retry after a crash inserts no row twice and is given the same ids.
  defp insert(%{tables: tables, run: run} = loader, n, packages, kill?) do
    rows = Enum.map(packages, &Map.take(&1, [:name, :version, :section]))

    ids =
      again(loader, fn ->
        Rhizome.insert_rows(tables.packages, rows, idempotency_key: {run, :rows, n})
      end)

    crash = if kill?, do: kill()

    parts = [
      {tables.row_of, Enum.zip_with(packages, ids, &{&1.name, &2})},
      {tables.depends, for(p <- packages, other <- p.depends, do: {p.name, other})},
      {tables.maintainer, for(%{maintainer: m} = p <- packages, do: {p.name, m})},
      {tables.built, for(p <- packages, do: {p.source, p.name})},
      {tables.provides, for(p <- packages, other <- p.provides, do: {p.name, other})}
    ]

    counts = {length(rows), Enum.sum(for {_table, pairs} <- parts, do: length(pairs))}

    batch =
      parts
      |> Enum.reduce(Batch.new(), fn {t, pairs}, b -> Batch.insert_all(b, t, pairs) end)
      |> Batch.put(tables.loaded, n, counts)

    again(loader, fn -> Rhizome.run(@store, batch, idempotency_key: {run, :pairs, n}) end)
    {counts, crash}
  end

  # Once more, for as long as the store is on its way back.
  defp again(loader, fun) do
    case fun.() do
      {:ok, result} ->
        result

      {:error, %Error{code: :not_found}} ->
        :not_found

      {:error, %Error{code: code}} when code in [:unknown_result, :daemon_down, :stopped] ->
        send(loader.main, {:again, code})
        Process.sleep(2)
        again(loader, fun)

      {:error, error} ->
        raise error
    end
  end

  defp kill do
    before = Rhizome.info(@store)
    owner = Process.whereis(@store)
    killed = System.monotonic_time(:microsecond)
    signal("KILL", before.os_pid)
    await(fn -> Process.whereis(@store) not in [nil, owner] and Rhizome.ping(@store) == :ok end)

    %{
      before: before,
      now: Rhizome.info(@store),
      time: System.monotonic_time(:microsecond) - killed
    }
  end

  defp tell(%{before: before, now: now, time: time}) do
    codes = Enum.frequencies(repeated())
    recovered = now.recovered.checkpoint + now.recovered.records

    say("""
      Halfway, kill -9 ended process #{before.os_pid}, between the rows of a piece and their
      pairs. #{number(before.seq)} mutations had been carried out when it was aimed.
      The supervisor started process #{now.os_pid}, which was back after #{duration(time)}
      with #{number(recovered)}. Calls that got an error were repeated with their keys:
      #{if codes == %{}, do: "none", else: Enum.map_join(codes, ", ", fn {code, n} -> "#{n} x #{code}" end)}.
    """)

    true = recovered >= before.seq
  end

  defp repeated do
    receive do
      {:again, code} -> [code | repeated()]
    after
      0 -> []
    end
  end

  defp checkpoint do
    %{log: %{log_bytes: before}} = Rhizome.info(@store)
    {time, checkpoint} = :timer.tc(fn -> Rhizome.checkpoint!(@store) end)

    say(
      "A checkpoint of #{mib(checkpoint.bytes)} MiB, in #{duration(time)}: the next start begins with it,"
    )

    say("and the log of #{mib(before)} MiB before it is gone.\n")
  end

  # Any file can be read as an index, of nothing.
  defp check(tables, path) do
    for {table, what} <- [packages: "packages", depends: "dependencies"],
        Rhizome.count(tables[table]) == 0 do
      IO.puts(:stderr, "demo: #{path} holds no #{what}")
      exit({:shutdown, 65})
    end
  end

  ## Questions

  defp questions(tables) do
    library = pick(Rhizome.bwd(tables.depends), ["libc6", "libstdc++6", "zlib1g"])

    ask("How many packages depend on #{library}, and which are the first?", fn ->
      needed_by = Rhizome.bwd(tables.depends, library)
      first = needed_by |> Rhizome.to_list(limit: 4) |> Enum.join(", ")
      count = Rhizome.count(needed_by)
      "#{number(count)}: #{first}#{if count > 4, do: ", ..."}"
    end)

    leaders = Rhizome.create_table!(@store, :leaders, :to_many)

    ask("How often is each depended upon? A request for each, kept in a table.", fn ->
      tables.depends
      |> Rhizome.bwd()
      |> Rhizome.keys()
      |> Task.async_stream(&{Rhizome.count(Rhizome.bwd(tables.depends, &1)), &1},
        max_concurrency: 64
      )
      |> Stream.map(fn {:ok, pair} -> pair end)
      |> Enum.into(leaders)

      "#{number(Rhizome.count(leaders))} packages counted"
    end)

    ask("Which ten are depended upon most?", fn ->
      leaders
      |> Rhizome.to_list(reverse: true, limit: 10)
      |> Enum.map_join("\n    ", fn {n, name} ->
        "#{String.pad_leading(number(n), 7)}  #{name}"
      end)
    end)

    ask("And how many of them are depended upon more often than ten times?", fn ->
      "#{number(Rhizome.count(leaders, beyond: 10))} of #{number(Rhizome.count(leaders))}"
    end)

    {source, _package} = Rhizome.at(tables.built, div(Rhizome.count(tables.built), 3))

    ask("What does the source package #{source} build?", fn ->
      tables.built |> Rhizome.fwd(source) |> Rhizome.to_list(limit: 5) |> Enum.join(", ")
    end)

    package = pick(tables.depends, ["elixir", "git", "vim"])

    ask("What does #{package} need, directly and through others?", fn ->
      reached = reach(tables.depends, [package], MapSet.new([package]))
      "#{number(MapSet.size(reached) - 1)} packages"
    end)

    ask("Which five dependencies stand in the middle of all of them?", fn ->
      middle = div(Rhizome.count(tables.depends), 2)
      page = Rhizome.slice(tables.depends, middle, 5)
      pairs = for {package, needed} <- page, do: "  #{package} -> #{needed}"
      Enum.join(["from position #{number(middle)} on:" | pairs], "\n    ")
    end)

    move(tables, package)
  end

  defp move(%{maintainer: maintainer}, package) do
    old = Rhizome.get(maintainer, package, "nobody")
    new = "Ada Lovelace <ada@example.org>"
    theirs = fn name -> Rhizome.count(Rhizome.bwd(maintainer, name)) end
    before = theirs.(old)

    ask("#{package} gets another maintainer. What did that take away?", fn ->
      change = Rhizome.put!(maintainer, package, new)
      Enum.map_join(change.evicted, ", ", fn {p, m} -> "#{p} of #{m}" end)
    end)

    ask("Do both sides know?", fn ->
      "package to maintainer: #{package} -> #{Rhizome.get(maintainer, package)}\n    " <>
        "maintainer to packages: the old one has #{theirs.(old)}, was #{before}; " <>
        "the new one has #{theirs.(new)}"
    end)
  end

  # Everything that can be reached, by held sets, a level at a time.
  defp reach(_depends, [], seen), do: seen

  defp reach(depends, names, seen) do
    next =
      names
      |> Task.async_stream(&Rhizome.to_list(Rhizome.fwd(depends, &1)), max_concurrency: 32)
      |> Enum.flat_map(fn {:ok, list} -> list end)
      |> Enum.uniq()
      |> Enum.reject(&(&1 in seen))

    reach(depends, next, MapSet.union(seen, MapSet.new(next)))
  end

  # The first of these keys that is there, or the first of all.
  defp pick(view, keys) do
    Enum.find(keys, &Rhizome.has_key?(view, &1)) || view |> Rhizome.keys(limit: 1) |> hd()
  end

  ## A crash

  defp crash do
    digest = Rhizome.digest!(@store)
    say("Now the daemon is killed while a thousand callers wait for it.")
    old = Rhizome.info(@store).os_pid
    owner = Process.whereis(@store)
    monitor = Process.monitor(owner)
    signal("STOP", old)
    callers = for _n <- 1..1_000, do: Task.async(fn -> Rhizome.ping(@store) end)
    await(fn -> Enum.all?(callers, &(Process.info(&1.pid, :status) == {:status, :waiting})) end)
    {time, answers} = :timer.tc(fn -> signal("KILL", old) && Task.await_many(callers) end)
    codes = Enum.frequencies(for {:error, error} <- answers, do: error.code)
    say("  Each has its answer after #{duration(time)}: #{inspect(codes)}")

    receive do
      {:DOWN, ^monitor, :process, ^owner, reason} ->
        say("  The store's process exited with #{inspect(reason)}")
    end

    await(fn -> Process.whereis(@store) not in [nil, owner] and Rhizome.ping(@store) == :ok end)
    new = Rhizome.info(@store).os_pid
    say("  and its supervisor started another one: process #{new}, was #{old}.")

    ^digest = Rhizome.digest!(@store)
    %{tables: tables, recovered: recovered} = Rhizome.info(@store)

    say(
      "  It has all #{tables} tables back, after #{recovered.ms} ms, " <>
        "and the same digest as before."
    )
  end

  # The same from the files alone, by a program that knows of no VM.
  defp replay(dir, %{digest: digest, seq: seq}) do
    say("Its digest was #{digest}, at mutation #{number(seq)}.\n")
    say("$ rhizome replay --verify #{dir.name}")

    rhizome =
      System.get_env("RHIZOME_EXECUTABLE") || Application.app_dir(:rhizome, "priv/rhizome")

    {output, status} =
      System.cmd(rhizome, ["replay", "--verify", dir.name], cd: dir.from, stderr_to_stdout: true)

    IO.write(output)

    if status == 0 and output =~ digest do
      say("\nThe replay of the files ends at the same digest.")
    else
      IO.puts(:stderr, "demo: the replay of #{dir.name} (status #{status}) does not agree")
      exit({:shutdown, 1})
    end
  end

  defp await(fact) do
    unless fact.() do
      Process.sleep(1)
      await(fact)
    end
  end

  defp signal(name, os_pid) do
    {_output, 0} = System.cmd("/bin/sh", ["-c", "kill -s #{name} #{os_pid}"])
    true
  end

  ## Words

  defp ask(question, fun) do
    {time, answer} = :timer.tc(fun)
    say("#{question}  [#{duration(time)}]\n    #{answer}\n")
  end

  defp mib(bytes), do: Float.round(bytes / 1_048_576, 1)

  defp duration(us) when us < 1_000, do: "#{us} us"
  defp duration(us) when us < 1_000_000, do: "#{Float.round(us / 1_000, 1)} ms"
  defp duration(us), do: "#{Float.round(us / 1_000_000, 2)} s"

  defp number(n) do
    n |> Integer.to_string() |> String.replace(~r/(?<=\d)(?=(\d{3})+$)/, ",")
  end

  defp say(text), do: IO.puts(text)
end

# ../demo gives the directory as its user calls it.
directory = fn
  [dir] ->
    %{path: Path.expand(dir), name: dir, from: File.cwd!()}

  [] ->
    %{
      path: Path.expand(System.fetch_env!("DEMO_DIR"), System.fetch_env!("DEMO_FROM")),
      name: System.fetch_env!("DEMO_DIR"),
      from: System.fetch_env!("DEMO_FROM")
    }
end

case System.argv() do
  [path | dir] when length(dir) <= 1 ->
    try do
      Demo.run(path, directory.(dir))
    rescue
      error in ErlangError ->
        # Whoever read our output has seen enough: `demo | head`.
        unless match?(%{original: reason} when reason in [:terminated, :epipe], error),
          do: reraise(error, __STACKTRACE__)
    end

  _other ->
    IO.puts(:stderr, "usage: mix run examples/debian_packages.exs PACKAGES_FILE DIRECTORY")
    System.halt(64)
end
