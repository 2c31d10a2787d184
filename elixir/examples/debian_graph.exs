# The packages of Debian as a graph: who needs whom, whose loss would hurt, which need each
# other in a circle, and in what order one has to install them.
#
#     mix run examples/debian_graph.exs [--limit PACKAGES] [PACKAGES_FILE]
#
# Without a file it takes what `apt-cache dumpavail` says, or else what is installed.

alias Rhizome.Graph
alias Rhizome.Graph.Algorithms

defmodule Index do
  # A Packages file: paragraphs of "Field: value" lines, an empty line between two of them,
  # a line that starts with a space continues the one before it.

  @wanted ["Package", "Section", "Depends", "Pre-Depends", "Provides"]

  def open(nil) do
    with path when is_binary(path) <- System.find_executable("apt-cache"),
         {text, 0} when text != "" <- System.cmd(path, ["dumpavail"]) do
      {"apt-cache dumpavail", String.split(text, "\n")}
    else
      _none -> open("/var/lib/dpkg/status")
    end
  end

  def open(path) do
    {path, path |> File.stream!() |> Stream.map(&String.trim_trailing(&1, "\n"))}
  end

  # Maps of fields, as they are asked for.
  def paragraphs(lines) do
    Stream.transform(Stream.concat(lines, [""]), {%{}, nil}, fn
      "", {fields, _last} when fields == %{} -> {[], {%{}, nil}}
      "", {fields, _last} -> {[fields], {%{}, nil}}
      line, {fields, last} -> {[], field(line, fields, last)}
    end)
  end

  defp field(" " <> more, fields, last) when last != nil do
    {Map.update!(fields, last, &(&1 <> " " <> more)), last}
  end

  defp field(line, fields, _last) do
    case String.split(line, ": ", parts: 2) do
      [name, value] when name in @wanted -> {Map.put(fields, name, value), name}
      _other -> {fields, nil}
    end
  end

  # "a (>= 1), b:any | c" are the groups [["a"], ["b", "c"]].
  def groups(fields, name) do
    for group <- String.split(Map.get(fields, name, ""), ",", trim: true) do
      for text <- String.split(group, "|", trim: true) do
        text |> String.trim() |> String.split([" ", "(", ":"], parts: 2) |> hd()
      end
    end
  end
end

defmodule Packages do
  # A vertex for each package, with its section as a label. An edge from a package to each
  # that it depends on: of alternatives the first that there is, and of a name that no package
  # has the first that provides it.
  def load(store, paragraphs) do
    graph = Rhizome.create_table!(store, :packages, :graph)
    packages = Map.new(paragraphs, &{&1["Package"], &1}) |> Map.delete(nil)

    providers =
      for {name, fields} <- packages,
          [virtual] <- Index.groups(fields, "Provides"),
          reduce: %{} do
        providers -> Map.update(providers, virtual, name, &min(&1, name))
      end

    vertices =
      for {name, fields} <- packages do
        {:vertex, name, nil, [Map.get(fields, "Section", "none")]}
      end

    edges =
      for {name, fields} <- packages,
          {field, label} <- [{"Pre-Depends", :pre_depends}, {"Depends", :depends}],
          group <- Index.groups(fields, field),
          other = choice(group, packages, providers),
          other != nil and other != name do
        {:edge, name, other, label, nil}
      end

    Enum.into(vertices, graph)
    Enum.into(edges, graph)
  end

  defp choice(group, packages, providers) do
    Enum.find_value(group, fn name ->
      if is_map_key(packages, name), do: name, else: providers[name]
    end)
  end

  # The first of these that there is, or whatever is there.
  def pick(graph, names) do
    Enum.find(names, &Graph.has_vertex?(graph, &1)) || hd(Enum.take(Graph.vertices(graph), 1))
  end
end

defmodule Say do
  def ask(question, fun) do
    {microseconds, answer} = :timer.tc(fun)
    IO.puts("#{question}  [#{div(microseconds, 1000)} ms]\n    #{answer}\n")
  end

  def some(names, count \\ 6) do
    {first, rest} = Enum.split(names, count)
    Enum.join(first, ", ") <> if(rest == [], do: "", else: ", and #{length(rest)} more")
  end
end

{options, files} = OptionParser.parse!(System.argv(), strict: [limit: :integer])
{name, lines} = Index.open(List.first(files))
paragraphs = Index.paragraphs(lines)
paragraphs = if options[:limit], do: Enum.take(paragraphs, options[:limit]), else: paragraphs

{:ok, store} = Rhizome.start_link(timeout: 60_000)
{microseconds, graph} = :timer.tc(fn -> Packages.load(store, paragraphs) end)
info = Rhizome.table_info(graph)

if info.vertices == 0 do
  IO.puts(:stderr, "debian_graph: #{name} holds no packages")
  exit({:shutdown, 65})
end

IO.puts(
  "#{info.vertices} packages and #{info.edges} dependencies of #{name}, in " <>
    "#{div(microseconds, 1000)} ms and #{div(info.bytes, 1024)} KiB.\n"
)

library = Packages.pick(graph, ["libssl3", "libssl3t64", "zlib1g", "libc6"])

Say.ask("What would the loss of #{library} take along?", fn ->
  directly = Graph.in_neighbors(graph, library, labels: [:depends, :pre_depends])
  all = Graph.reaching(graph, [library]) -- [library]
  "#{length(directly)} packages need it themselves, #{length(all)} in the end"
end)

package = Packages.pick(graph, ["elixir", "git", "vim", "bash"])
target = Packages.pick(graph, ["zlib1g", "libc6"])

Say.ask("Why does #{package} need #{target}?", fn ->
  case Graph.shortest_path(graph, package, target) do
    {_length, path} -> Enum.join(path, " -> ")
    nil -> "it does not"
  end
end)

Say.ask("Which packages need each other in a circle?", fn ->
  Algorithms.with_result(graph, :scc, fn result ->
    circles =
      result
      |> Enum.group_by(fn {_package, group} -> group end, fn {package, _group} -> package end)
      |> Map.values()
      |> Enum.filter(&match?([_one, _two | _more], &1))
      |> Enum.sort_by(&length/1, :desc)

    lines = for circle <- Enum.take(circles, 4), do: "#{length(circle)}: #{Say.some(circle)}"
    Enum.join(["#{length(circles)} circles; the largest are" | lines], "\n    ")
  end)
end)

Say.ask("On which packages does the most rest? (PageRank)", fn ->
  best = fn result ->
    Enum.map_join(result, "\n    ", fn {package, rank} ->
      "#{:erlang.float_to_binary(rank, decimals: 5)}  #{package}"
    end)
  end

  Algorithms.with_result(graph, :page_rank, best, order: {:rank, :desc, 8})
end)

# What is needed for one package is a graph of its own. Its circles become one vertex each,
# for their members have to be installed together; what is left has an order.
Say.ask("In what order is #{package} installed?", fn ->
  needed = Graph.reachable(graph, [package])
  part = Rhizome.create_table!(store, :part, :graph)
  Graph.subgraph(graph, needed, into: part)

  circles =
    Algorithms.with_result(part, :scc, fn result ->
      Graph.contract_all!(part, result, name: fn _group, members -> {:together, members} end)
    end)

  order =
    Algorithms.with_result(part, :topological_sort, &Enum.map(&1, fn row -> elem(row, 0) end),
      direction: :in
    )

  steps =
    for step <- order do
      case step do
        {:together, members} -> "(" <> Enum.join(members, " + ") <> ")"
        package -> package
      end
    end

  true = length(order) == length(needed) - circles.members + circles.groups

  "#{length(needed)} packages, with #{circles.groups} of the circles among them: #{Say.some(steps, 8)}," <>
    " and #{List.last(steps)} last"
end)

IO.puts("The daemon has #{div(Rhizome.info(store).memory_bytes, 1024)} KiB in use.")
Rhizome.stop(store)
