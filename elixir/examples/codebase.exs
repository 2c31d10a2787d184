# A codebase as a graph: the sources of Erlang/OTP as syntax trees, with edges from each
# node to its parent, from modules to what they define, and from functions to those that they
# call. The trees go to the daemon file by file; the VM never holds more than a few.
#
#     mix run examples/codebase.exs [--limit FILES] [DIRECTORY]
#
# The sources are those of Debian's erlang-src, or *.erl under a directory.

alias Rhizome.Graph
alias Rhizome.Graph.Algorithms

defmodule Source do
  # A file as elements of the graph:
  #
  #     {file, n}   -parent->  {file, m}     a node of the tree and the one around it
  #     {file, n}   -parent->  {m, f, a}     the node of a function's form
  #     {m, f, a}   -parent->  m             a function and its module
  #     m           -define->  {m, f, a}
  #     {m, f, a}   -call->    {m, f, a}     with the line of a call as its value
  #
  # A node has its line as its value and its kind as its label; functions have the label
  # :mfa, and modules :module.

  def files(directory) do
    Path.wildcard(Path.join(directory, "**/*.erl"))
  end

  def parse(path) do
    directory = Path.dirname(path)
    includes = [directory, Path.join(directory, "../include"), Path.join(directory, "../..")]

    case :epp.parse_file(String.to_charlist(path),
           includes: Enum.map(includes, &String.to_charlist/1)
         ) do
      {:ok, forms} -> forms
      {:error, _reason} -> []
    end
  end

  # Calls `emit` with each element; returns how many nodes there are.
  def walk(forms, file, emit) do
    name = Path.rootname(Path.basename(file.path)) |> String.to_atom()
    module = Enum.find_value(forms, name, &module/1)
    emit.({:vertex, module, file.path, [:module]})

    context = %{
      file: file.number,
      module: module,
      imports: for({:attribute, _, :import, {m, fs}} <- forms, fa <- fs, into: %{}, do: {fa, m}),
      function: nil,
      emit: emit
    }

    Enum.reduce(forms, 0, &form(&1, &2, context))
  end

  defp module({:attribute, _anno, :module, name}) when is_atom(name), do: name
  defp module(_other), do: nil

  defp form({:function, anno, name, arity, _clauses} = form, n, context) do
    function = {context.module, name, arity}
    context.emit.({:vertex, function, line(anno), [:mfa]})
    context.emit.({:edge, function, context.module, :parent, nil})
    context.emit.({:edge, context.module, function, :define, nil})
    node(form, function, n, %{context | function: function})
  end

  # What epp says of files that it could not include.
  defp form({kind, _what}, n, _context) when kind in [:error, :warning, :eof], do: n
  defp form(form, n, context), do: node(form, context.module, n, context)

  # In the abstract format a node is a tuple of its kind, where it stands, and the rest. Lists
  # and other tuples have nodes in them.
  defp node(term, parent, n, context) when is_tuple(term) and tuple_size(term) >= 2 do
    kind = elem(term, 0)
    anno = elem(term, 1)

    if is_atom(kind) and anno?(anno) do
      here = {context.file, n}
      context.emit.({:vertex, here, line(anno), [label(kind)]})
      context.emit.({:edge, here, parent, :parent, nil})
      call(term, context)
      parts(term, 3, here, n + 1, context)
    else
      parts(term, 1, parent, n, context)
    end
  end

  defp node([head | tail], parent, n, context) do
    node(tail, parent, node(head, parent, n, context), context)
  end

  defp node(_other, _parent, n, _context), do: n

  defp parts(term, from, parent, n, context) do
    Enum.reduce(from..tuple_size(term)//1, n, fn at, n ->
      node(:erlang.element(at, term), parent, n, context)
    end)
  end

  # That of [] is called nil, which is no label.
  defp label(nil), do: :empty
  defp label(kind), do: kind

  defp anno?(anno) when is_integer(anno), do: anno >= 0
  defp anno?({line, column}), do: is_integer(line) and is_integer(column)
  defp anno?([{key, _value} | _more]), do: key in [:location, :generated, :file]
  defp anno?(_other), do: false

  defp line(anno), do: :erl_anno.line(anno)

  defp call(_term, %{function: nil}), do: :ok

  defp call({:call, anno, {:atom, _, name}, arguments}, context) do
    fa = {name, length(arguments)}
    called(Map.get(context.imports, fa, context.module), fa, anno, context)
  end

  defp call({:call, anno, {:remote, _, {:atom, _, module}, {:atom, _, name}}, arguments}, context) do
    called(module, {name, length(arguments)}, anno, context)
  end

  defp call({:fun, anno, {:function, name, arity}}, context) do
    called(context.module, {name, arity}, anno, context)
  end

  defp call({:fun, anno, {:function, {:atom, _, m}, {:atom, _, f}, {:integer, _, a}}}, context) do
    called(m, {f, a}, anno, context)
  end

  defp call(_other, _context), do: :ok

  defp called(module, {name, arity}, anno, context) do
    context.emit.({:edge, context.function, {module, name, arity}, :call, line(anno)})
  end
end

defmodule Loader do
  # Elements that are sent at once.
  @batch 4_000

  # One file: its tree is garbage when this process ends.
  def load(graph, file) do
    forms = Source.parse(file.path)
    Process.put(:batch, {0, [], []})
    nodes = Source.walk(forms, file, &emit(graph, &1))
    flush(graph)
    %{nodes: nodes, bytes: File.stat!(file.path).size, words: :erts_debug.flat_size(forms)}
  end

  defp emit(graph, element) do
    {count, vertices, edges} = Process.get(:batch)

    batch =
      if elem(element, 0) == :vertex,
        do: {count + 1, [element | vertices], edges},
        else: {count + 1, vertices, [element | edges]}

    Process.put(:batch, batch)
    if count >= @batch, do: flush(graph)
  end

  defp flush(graph) do
    {_count, vertices, edges} = Process.put(:batch, {0, [], []})

    batch =
      Rhizome.Batch.new()
      |> Rhizome.Batch.put_vertices(graph, Enum.reverse(vertices))
      |> Rhizome.Batch.put_edges(graph, Enum.reverse(edges))

    Rhizome.run!(graph.store, batch)
  end
end

defmodule Memory do
  # The most that the VM has had, by looks at it.
  def watch do
    spawn_link(fn -> look(0) end)
  end

  def peak(watcher) do
    send(watcher, {:peak, self()})
    receive(do: ({:peak, peak} -> peak))
  end

  defp look(peak) do
    receive do
      {:peak, from} -> send(from, {:peak, max(peak, :erlang.memory(:total))})
    after
      20 -> look(max(peak, :erlang.memory(:total)))
    end
  end
end

defmodule Say do
  def ask(question, fun) do
    {microseconds, answer} = :timer.tc(fun)
    IO.puts("#{question}  [#{time(microseconds)}]\n    #{answer}\n")
  end

  def time(us) when us < 10_000, do: "#{us} us"
  def time(us) when us < 10_000_000, do: "#{div(us, 1000)} ms"
  def time(us), do: "#{Float.round(us / 1_000_000, 1)} s"

  def mib(bytes), do: "#{Float.round(bytes / 1_048_576, 1)} MiB"

  def number(n) do
    n |> Integer.to_string() |> String.replace(~r/(?<=\d)(?=(\d{3})+$)/, ",")
  end

  def function({m, f, a}), do: "#{m}:#{f}/#{a}"
  def function(module) when is_atom(module), do: "#{module}"
  def function({file, n}), do: "node #{n} of file #{file}"

  def some(functions, count \\ 4) do
    {first, rest} = Enum.split(functions, count)
    text = Enum.map_join(first, ", ", &function/1)
    text <> if(rest == [], do: "", else: ", and #{number(length(rest))} more")
  end
end

{options, directories} = OptionParser.parse!(System.argv(), strict: [limit: :integer])
directory = List.first(directories) || to_string(:code.lib_dir())
files = Source.files(directory)
files = if options[:limit], do: Enum.take(files, options[:limit]), else: files

if files == [] do
  IO.puts(:stderr, "codebase: no *.erl under #{directory}; Debian has them in erlang-src")
  exit({:shutdown, 66})
end

{:ok, store} = Rhizome.start_link(timeout: 120_000)
graph = Rhizome.create_table!(store, :code, :graph)
before = :erlang.memory(:total)
watcher = Memory.watch()
started = System.monotonic_time(:microsecond)

total =
  files
  |> Enum.with_index(fn path, number -> %{path: path, number: number} end)
  |> Task.async_stream(&Loader.load(graph, &1),
    max_concurrency: System.schedulers_online() + 1,
    ordered: false,
    timeout: :infinity
  )
  |> Enum.reduce(%{nodes: 0, bytes: 0, words: 0}, fn {:ok, one}, total ->
    Map.merge(total, one, fn _what, a, b -> a + b end)
  end)

took = System.monotonic_time(:microsecond) - started
info = Rhizome.table_info(graph)
peak = Memory.peak(watcher)

IO.puts("""
#{Say.number(length(files))} files of #{directory}, #{Say.mib(total.bytes)} of text, parsed and loaded in #{Say.time(took)}:
    #{Say.number(total.nodes)} nodes of syntax trees
    #{Say.number(info.vertices)} vertices, #{Say.number(info.edges)} edges, #{Say.number(div((info.vertices + info.edges) * 1_000_000, took))} elements a second
    the daemon holds them in #{Say.mib(Rhizome.info(store).memory_bytes)}
    the VM had #{Say.mib(before)} before, #{Say.mib(peak)} at most; as terms the trees are #{Say.mib(total.words * :erlang.system_info(:wordsize))}
""")

# The first of these that there is, or any function.
pick = fn candidates ->
  Enum.find(candidates, &Graph.has_vertex?(graph, &1)) ||
    graph |> Graph.vertices(label: :mfa) |> Enum.take(1) |> hd()
end

Say.ask("How many functions are there, and how many places that receive?", fn ->
  functions = Graph.vertex_count(graph, label: :mfa)
  places = Graph.vertex_count(graph, label: :receive)
  "#{Say.number(functions)} functions, #{Say.number(places)} places"
end)

callee = pick.([{:gen_server, :call, 3}, {:lists, :reverse, 1}])

Say.ask("Who calls #{Say.function(callee)}?", fn ->
  callers = Graph.in_neighbors(graph, callee, labels: [:call])
  "#{Say.number(length(callers))} functions: #{Say.some(callers)}"
end)

Say.ask("And through how many others may it be called, over at most six calls?", fn ->
  callers = Graph.k_hop(graph, [callee], 6, labels: [:call], direction: :in)

  levels = callers |> Enum.frequencies_by(fn {_function, level} -> level end) |> Enum.sort()

  Enum.map_join(levels, ", ", fn {level, count} -> "#{level}: #{Say.number(count)}" end)
end)

from = pick.([{:mnesia, :transaction, 1}, {:asn1ct, :compile, 1}])
to = pick.([{:disk_log, :log_terms, 2}, {:ets, :insert, 2}, {:erlang, :error, 1}])

Say.ask("How does #{Say.function(from)} come to #{Say.function(to)}?", fn ->
  case Graph.shortest_path(graph, from, to, labels: [:call]) do
    {_length, path} -> Enum.map_join(path, " -> ", &Say.function/1)
    nil -> "not at all"
  end
end)

Say.ask("How deep are things nested, in a function of many clauses?", fn ->
  function = pick.([{:erl_lint, :expr, 3}, {:asn1ct, :parse_and_save, 2}])
  tree = Graph.bfs(graph, function, labels: [:parent], direction: :in)
  {deepest, level, _parent} = Enum.max_by(tree, fn {_node, level, _parent} -> level end)
  {_length, way} = Graph.shortest_path(graph, deepest, function, labels: [:parent])

  kinds = for {:vertex, _node, line, [kind]} <- Graph.get_vertices(graph, way), do: {kind, line}

  [{kind, line} | _more] = kinds
  around = kinds |> Enum.map(&elem(&1, 0)) |> Enum.drop(-2) |> Enum.dedup() |> Enum.join(" < ")

  "#{length(tree)} nodes in #{Say.function(function)}; #{level} deep is a #{kind} in line " <>
    "#{line}:\n    #{around}"
end)

calls = Graph.project!(graph, :calls, labels: [:call], vertex_labels: [:mfa])
IO.puts("The calls alone: #{inspect(calls)}, made in #{calls.ms} ms.\n")

Say.ask("Which functions do the others rest upon? (PageRank of the calls)", fn ->
  Algorithms.with_result(
    calls,
    :page_rank,
    &Enum.map_join(&1, ", ", fn {function, _rank} -> Say.function(function) end),
    order: {:rank, :desc, 6}
  )
end)

Say.ask("Which functions call each other in a circle?", fn ->
  Algorithms.with_result(calls, :scc, fn result ->
    sizes = Enum.frequencies_by(result, fn {_function, group} -> group end)
    circles = for {_group, size} <- sizes, size > 1, do: size

    "#{Say.number(length(circles))} circles, the largest of " <>
      "#{Say.number(Enum.max(circles, fn -> 1 end))} functions"
  end)
end)

Rhizome.Graph.drop_projection(calls)
Rhizome.stop(store)
