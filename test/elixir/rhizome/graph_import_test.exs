defmodule Rhizome.GraphImportTest do
  use Rhizome.Case, async: true

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

    assert {:error, %Error{code: :bad_weight}} =
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
        assert {:ok, _done} = Graph.import_file(copy, path.(name), words: :atoms)
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

  test "an export that cannot be written says so", %{graph: graph, path: path} do
    Graph.put_edge!(graph, 1, 2)
    assert {:error, %Error{}} = Graph.export_file(graph, path.("no/such/directory.jsonl"))
    assert {:ok, %{}} = Graph.export_file(graph, path.("g.dot"))
    assert File.read!(path.("g.dot")) =~ "graph"

    assert File.ls!(System.tmp_dir!()) |> Enum.filter(&(&1 =~ ~r/^rhizome-#{System.pid()}-/)) ==
             []
  end
end
