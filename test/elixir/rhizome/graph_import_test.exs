defmodule Rhizome.GraphImportTest do
  use Rhizome.Case, async: false

  alias Rhizome.{Error, Graph}

  doctest Rhizome.Graph.Files

  @moduletag :tmp_dir

  setup context do
    store = start_store()
    graph = Rhizome.create_table!(store, :g, :graph)
    directory = Map.get(context, :tmp_dir, System.tmp_dir!())
    %{store: store, graph: graph, path: &Path.join(directory, &1)}
  end

  defp write(path, text) do
    File.write!(path, text)
    path
  end

  test "a list of edges, with comments, plain and compressed", context do
    %{graph: graph, path: path} = context
    text = "# a comment\n1\t2\n2\t3\n\n3\t1\n"
    file = write(path.("edges.txt"), text)
    assert {:ok, %{edges: 3, errors: 0, wrong: []}} = Graph.import_file(graph, file)
    assert Enum.sort(Graph.vertices(graph)) == [1, 2, 3]
    assert Graph.edge_count(graph) == 3

    packed = write(path.("packed.txt.gz"), :zlib.gzip(text))
    Rhizome.clear!(graph)
    assert {:ok, %{edges: 3}} = Graph.import_file(graph, packed, ids: :string)
    assert Enum.sort(Graph.vertices(graph)) == ["1", "2", "3"]
  end

  test "several thousands, in requests of some", %{graph: graph, path: path, store: store} do
    lines = for n <- 1..20_000, do: "#{n} #{rem(n * 7, 20_000) + 1}\n"
    file = write(path.("many.txt"), lines)
    seq = Rhizome.info(store).seq
    assert {:ok, %{edges: 20_000}} = Graph.import_file(graph, file, batch: 1_000)
    assert Graph.edge_count(graph) == 20_000
    assert Rhizome.info(store).seq - seq >= 20
  end

  test "a weight that is no number is told with its line", %{store: store, path: path} do
    graph = Rhizome.create_table!(store, :weighted, :graph, weight: :value)
    file = write(path.("weights.csv"), "from,to,weight\na,b,7\nb,c,heavy\nc,d,8\n")

    assert {:ok, %{edges: 2, errors: 1, wrong: [%{line: 3}]}} =
             Graph.import_file(graph, file, max_errors: 10)

    assert Graph.edge_count(graph) == 2
    assert {:error, %Error{details: %{line: 3}}} = Graph.import_file(graph, file)
  end

  test "what is wrong is told with its line and column", %{graph: graph, path: path} do
    file =
      write(
        path.("wrong.mtx"),
        "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 2 1.5\n1 x 2\n"
      )

    assert {:error, %Error{code: :bad_argument} = error} = Graph.import_file(graph, file)
    assert %{line: 4, column: column} = error.details
    assert is_integer(column)
    assert error.message =~ "wrong.mtx:4"

    file = write(path.("two.jsonl"), ~s({"nonsense": 1}\n[\n))
    assert {:error, %Error{}} = Graph.import_file(graph, file)
    assert {:error, %Error{code: :io}} = Graph.import_file(graph, path.("missing.txt"))
    assert_raise ArgumentError, ~r/give the :format/, fn -> Graph.import_file(graph, "x.abc") end
    assert_raise ArgumentError, ~r/:ids must be/, fn -> Graph.import_file(graph, file, ids: 1) end
    assert {:messages, []} = Process.info(self(), :messages)
  end

  test "a fork takes all or nothing", %{store: store, graph: graph, path: path} do
    file = write(path.("edges.txt"), "1 2\n2 3\n")
    fork = Rhizome.fork!(store)
    assert {:ok, %{edges: 2}} = Graph.import_file(Rhizome.on(graph, fork), file)
    assert Graph.edge_count(graph) == 0
    Rhizome.commit!(fork)
    assert Graph.edge_count(graph) == 2
  end

  test "what a store refuses ends it", %{store: store, path: path} do
    weighted = Rhizome.create_table!(store, :w, :graph, weight: :value)
    file = write(path.("edges.csv"), "from,to,value\na,b,5\nb,c,far\n")

    assert {:error, %Error{code: :bad_argument, details: %{line: 3}}} =
             Graph.import_file(weighted, file, columns: "from,to,value")
  end

  describe "a round trip gives the same digest" do
    test "of all terms as lines of JSON", %{store: store, graph: graph, path: path} do
      values = [
        nil,
        1,
        -1.5,
        1.0,
        1.0e300,
        "text",
        <<255, 0>>,
        :atom,
        nil,
        {1, [2 | 3]},
        %{a: %{"b" => [1.0]}},
        2 ** 80,
        [],
        ~c"text",
        <<1::3>>
      ]

      for {value, n} <- Enum.with_index(values) do
        Graph.put_vertex!(graph, {n, value}, value: value, labels: [:l, {n}, "x"])
        Graph.put_edge!(graph, {n, value}, n, label: value, value: value)
      end

      for name <- ["g.jsonl", "g.jsonl.gz"] do
        assert {:ok, done} = Graph.export_file(graph, path.(name))
        assert done.vertices == Graph.vertex_count(graph)
        assert done.edges == Graph.edge_count(graph)
        assert done.bytes == File.stat!(path.(name)).size
        copy = Rhizome.create_table!(store, name, :graph)
        assert {:ok, _done} = Graph.import_file(copy, path.(name))
        assert Enum.sort(copy) === Enum.sort(graph)
        assert Graph.digest(copy) == Graph.digest(graph)
      end
    end

    test "of what they have a form for, as the others", %{store: store, graph: graph, path: path} do
      :rand.seed(:exsss, 11)
      edges = for _n <- 1..500, do: {:rand.uniform(100), :rand.uniform(100), nil, :rand.uniform()}
      Graph.put_edges!(graph, edges)

      for {format, name} <- [edges: "g.tsv", graphml: "g.graphml", mtx: "g.mtx", neo4j: "csv"] do
        assert {:ok, _done} = Graph.export_file(graph, path.(name), format: format)
        copy = Rhizome.create_table!(store, format, :graph)

        files =
          if format == :neo4j,
            do: Path.wildcard(Path.join(path.(name), "*.csv")),
            else: path.(name)

        assert {:ok, done} = Graph.import_file(copy, files, format: format)
        assert done.edges == Graph.edge_count(graph), "#{format}"

        ends = fn graph ->
          Enum.sort(for {:edge, a, b, _, _} <- Graph.edges(graph), do: {a, b})
        end

        assert ends.(copy) == ends.(graph), "#{format}"
      end
    end

    test "of a version", %{store: store, graph: graph, path: path} do
      Graph.put_edges!(graph, [{1, 2}, {2, 3}])
      snapshot = Rhizome.snapshot!(store)
      Graph.delete_vertex!(graph, 2)
      assert {:ok, %{edges: 2}} = Graph.export_file(graph, path.("old.jsonl"), at: snapshot)

      assert {:ok, %{edges: 2}} =
               Graph.export_file(Rhizome.on(graph, snapshot), path.("old2.jsonl"))

      assert {:ok, %{edges: 0}} = Graph.export_file(graph, path.("new.jsonl"))
      copy = Rhizome.create_table!(store, :copy, :graph)
      assert {:ok, _done} = Graph.import_file(copy, path.("old.jsonl"))
      assert Graph.digest(copy) == Graph.digest(graph, at: snapshot)
    end
  end

  test "both tell how far they are", %{store: store, graph: graph, path: path} do
    me = self()
    tell = fn done, total -> send(me, {:told, done, total}) end
    file = write(path.("edges.txt"), for(n <- 1..3_000, do: "#{n} #{n + 1}\n"))
    assert {:ok, done} = Graph.import_file(graph, file, batch: 1_000, progress: tell)
    refute Map.has_key?(done, :done)
    told = told()
    assert told == Enum.sort(told)
    assert {done, 0} = List.last(told)
    assert done >= 3_000

    assert {:ok, _done} = Graph.export_file(graph, path.("g.jsonl"), progress: tell)
    told = told()
    assert length(told) >= 6
    assert told == Enum.sort(told)
    assert List.last(told) == {6_001, 6_001}

    # What it raises ends the work: nothing is written, and nothing left.
    stop = fn _done, _total -> raise "enough" end
    copy = Rhizome.create_table!(store, :copy, :graph)

    assert_raise RuntimeError, "enough", fn ->
      Graph.import_file(copy, file, batch: 1_000, progress: stop)
    end

    assert Graph.edge_count(copy) in 1..1_000

    assert_raise RuntimeError, "enough", fn ->
      Graph.export_file(graph, path.("none.jsonl"), progress: stop)
    end

    refute File.exists?(path.("none.jsonl"))
    assert {:messages, []} = Process.info(self(), :messages)
    assert pipes() == []
  end

  defp told do
    receive do
      {:told, done, total} -> [{done, total} | told()]
    after
      0 -> []
    end
  end

  # Tests of this module run one after another, and no others have any.
  defp pipes do
    Enum.filter(File.ls!(System.tmp_dir!()), &(&1 =~ ~r/^rhizome-#{System.pid()}-/))
  end

  test "the rule for weights is in the file", %{store: store, path: path} do
    for {weight, text} <- [{nil, ~s("none")}, {:value, ~s("value")}, {{:key, "km"}, ~s({"key":)}] do
      graph = Rhizome.create_table!(store, {:weighs, weight}, :graph, weight: weight)
      assert {:ok, _done} = Graph.export_file(graph, path.("w.jsonl"))
      assert File.read!(path.("w.jsonl")) =~ ~s("weight":#{text})
    end
  end

  test "what is lost is counted", %{graph: graph, path: path} do
    Graph.put_vertex!(graph, 1, value: {:a, :tuple}, labels: [:l])
    Graph.put_edge!(graph, 1, 2, label: :knows, value: %{a: 1})

    assert {:ok, %{inexact: 0, left_out: 0}} = Graph.export_file(graph, path.("g.jsonl"))
    assert {:ok, %{inexact: inexact}} = Graph.export_file(graph, path.("g.mtx"))
    assert inexact > 0
    assert {:ok, %{left_out: left_out}} = Graph.export_file(graph, path.("g.dot"), limit: 1)
    assert left_out > 0
  end

  test "a picture is not read", %{graph: graph, path: path} do
    assert_raise ArgumentError, ~r/:dot is written only/, fn ->
      Graph.import_file(graph, path.("g.dot"))
    end

    assert_raise ArgumentError, ~r/:dot is written only/, fn ->
      Graph.import_file(graph, path.("g.txt"), format: :dot)
    end
  end

  test "a caller that traps exits has no messages", %{graph: graph, path: path} do
    Process.flag(:trap_exit, true)
    file = write(path.("edges.txt"), "1 2\n")
    assert {:ok, _done} = Graph.import_file(graph, file)
    assert {:ok, _done} = Graph.export_file(graph, path.("g.jsonl"))
    assert {:messages, []} = Process.info(self(), :messages)
  end

  test "a caller that is killed leaves neither a pipe nor half a file", context do
    %{graph: graph, path: path} = context
    Graph.put_edges!(graph, for(n <- 1..5_000, do: {n, n + 1}))
    file = write(path.("edges.txt"), for(n <- 1..5_000, do: "#{n} #{n + 1}\n"))
    me = self()

    waits = fn _done, _total ->
      send(me, {:at_it, self()})
      Process.sleep(:infinity)
    end

    copy = Rhizome.create_table!(graph.store, :copy, :graph)

    for work <- [
          fn -> Graph.import_file(copy, file, batch: 100, progress: waits) end,
          fn -> Graph.export_file(graph, path.("none.jsonl"), progress: waits) end
        ] do
      pid = spawn(work)
      assert_receive {:at_it, ^pid}
      assert [_one] = pipes()
      Process.exit(pid, :kill)
      await(fn -> pipes() == [] end)
    end

    refute File.exists?(path.("none.jsonl"))
    assert File.ls!(path.(".")) == ["edges.txt"]
  end

  test "an export that cannot be written says so", %{graph: graph, path: path} do
    Graph.put_edge!(graph, 1, 2)
    assert {:error, %Error{}} = Graph.export_file(graph, path.("no/such/directory.jsonl"))
    assert {:ok, %{}} = Graph.export_file(graph, path.("g.dot"))
    assert File.read!(path.("g.dot")) =~ "graph"

    assert pipes() == []
  end
end
