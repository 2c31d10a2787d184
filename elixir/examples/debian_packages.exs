# A Debian package index as five tables, and what one can ask them.
#
#     mix run examples/debian_packages.exs PACKAGES_FILE
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
  alias Rhizome.Batch

  @store Demo.Store

  def run(path) do
    # Reports of what dies, the daemon or the screen, are for logs.
    Logger.configure(level: :none)

    {:ok, supervisor} =
      Supervisor.start_link([{Rhizome, name: @store, timeout: 60_000}], strategy: :one_for_one)

    %{version: version, os_pid: os_pid} = Rhizome.info(@store)
    say("A store is running: rhizome #{version}, process #{os_pid}, supervised.\n")

    tables = create()
    load(tables, path)
    check(tables, path)
    questions(tables)
    crash()

    last = Rhizome.info(@store).os_pid
    Supervisor.stop(supervisor)
    true = not File.exists?("/proc/#{last}")
    say("\nThe supervisor has stopped, and the daemon with it.")
  end

  ## Tables

  # A package is a row; what relates packages goes by their names.
  defp create do
    %{
      packages: Rhizome.create_table!(@store, :packages, :pom),
      row_of: Rhizome.create_table!(@store, :row_of, :one_to_one),
      depends: Rhizome.create_table!(@store, :depends, :many_to_many),
      maintainer: Rhizome.create_table!(@store, :maintainer, :many_to_one),
      built: Rhizome.create_table!(@store, :built, :one_to_many),
      provides: Rhizome.create_table!(@store, :provides, :many_to_many)
    }
  end

  # Several pieces are parsed and written at a time: the daemon works on one
  # while the VM prepares the next.
  defp load(tables, path) do
    say("Loading #{Path.basename(path)}, #{div(File.stat!(path).size, 1_000_000)} MB:")
    progress = Progress.start(File.stat!(path).size)
    started = System.monotonic_time(:microsecond)

    {_bytes, packages, elements, progress} =
      path
      |> Index.pieces()
      |> Task.async_stream(&{byte_size(&1) + 2, insert(tables, Index.parse(&1))},
        max_concurrency: 2 * System.schedulers_online(),
        ordered: false,
        timeout: :infinity
      )
      |> Enum.reduce({0, 0, 0, progress}, fn {:ok, {size, {rows, pairs}}},
                                             {bytes, packages, elements, progress} ->
        {bytes, packages, elements} = {bytes + size, packages + rows, elements + pairs}

        progress =
          Progress.show(progress, bytes, fn seconds ->
            "#{packages} packages, #{number(trunc(elements / seconds))} elements/s"
          end)

        {bytes, packages, elements, progress}
      end)

    Progress.finish(progress)
    time = System.monotonic_time(:microsecond) - started
    info = Rhizome.info(@store)

    say("""
      #{number(packages)} packages, #{number(elements)} elements in #{length(Map.keys(tables))} \
    tables in #{duration(time)}, parsing included;
      the daemon holds them in #{Float.round(info.memory_bytes / 1_048_576, 1)} MiB.
    """)
  end

  defp insert(tables, packages) do
    rows = Enum.map(packages, &Map.take(&1, [:name, :version, :section]))
    ids = Rhizome.insert_rows!(tables.packages, rows)

    parts = [
      {tables.row_of, Enum.zip_with(packages, ids, &{&1.name, &2})},
      {tables.depends, for(p <- packages, other <- p.depends, do: {p.name, other})},
      {tables.maintainer, for(%{maintainer: m} = p <- packages, do: {p.name, m})},
      {tables.built, for(p <- packages, do: {p.source, p.name})},
      {tables.provides, for(p <- packages, other <- p.provides, do: {p.name, other})}
    ]

    batch = Enum.reduce(parts, Batch.new(), fn {t, pairs}, b -> Batch.insert_all(b, t, pairs) end)
    Rhizome.run!(@store, batch)
    {length(rows), length(rows) + Enum.sum(for {_table, pairs} <- parts, do: length(pairs))}
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

    await(fn -> Process.whereis(@store) not in [nil, owner] end)
    new = Rhizome.info(@store).os_pid
    say("  and its supervisor started another one: process #{new}, was #{old}.")

    say(
      "  It is empty, for this version keeps tables in memory only: " <>
        "tables #{inspect(Rhizome.tables(@store))}."
    )
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

  defp duration(us) when us < 1_000, do: "#{us} us"
  defp duration(us) when us < 1_000_000, do: "#{Float.round(us / 1_000, 1)} ms"
  defp duration(us), do: "#{Float.round(us / 1_000_000, 2)} s"

  defp number(n) do
    n |> Integer.to_string() |> String.replace(~r/(?<=\d)(?=(\d{3})+$)/, ",")
  end

  defp say(text), do: IO.puts(text)
end

case System.argv() do
  [path] ->
    try do
      Demo.run(path)
    rescue
      error in ErlangError ->
        # Whoever read our output has seen enough: `demo | head`.
        if error.original not in [:terminated, :epipe], do: reraise(error, __STACKTRACE__)
    end

  _other ->
    IO.puts(:stderr, "usage: mix run examples/debian_packages.exs PACKAGES_FILE")
    System.halt(64)
end
