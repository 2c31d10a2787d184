defmodule Rhizome.GraphTest do
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Change, Error, Graph, Handle}

  doctest Rhizome.Graph

  setup do
    store = start_store()
    %{store: store, graph: Rhizome.create_table!(store, :g, :graph)}
  end

  defp elements(graph), do: Enum.sort(Enum.to_list(graph))

  # What a walk says depends on the order in which vertices came; a set of it does not.
  defp sorted(list), do: Enum.sort(list)

  describe "a graph as a table" do
    test "is created once, listed, told about and dropped with its parts", %{store: store} do
      for {name, options} <- [
            {"a", []},
            {:b, [directed: false]},
            {{1, 2}, [weight: :value]},
            {7, [directed: false, weight: {:key, :km}]},
            {8, [directed: true, weight: nil]}
          ] do
        assert {:ok, graph} = Rhizome.create_table(store, name, :graph, options)
        assert Rhizome.create_table(store, name, :graph, options) == {:ok, graph}
        assert Rhizome.table(store, name) == {:ok, graph}
        assert Rhizome.Graph.vertex_count(graph) == 0

        assert {:error, %Error{code: :table_exists}} =
                 Rhizome.create_table(store, name, :graph, [if_exists: :error] ++ options)
      end

      assert {:error, %Error{code: :table_exists}} =
               Rhizome.create_table(store, :b, :graph, directed: true)

      assert {:error, %Error{code: :table_exists}} = Rhizome.create_table(store, "a", :set)
      assert Enum.map(Rhizome.tables(store), & &1.name) == [7, 8, :b, :g, {1, 2}, "a"]

      info = Rhizome.table_info(Rhizome.handle(store, 7, :graph))
      assert %{name: 7, type: :graph, vertices: 0, edges: 0, directed: false} = info
      assert info.weight == {:key, :km}

      for table <- Rhizome.tables(store), do: Rhizome.drop_table!(table)
      assert Rhizome.tables(store) == []
      assert Rhizome.info(store).tables == 0
    end

    test "has no sides, and other types no vertices", %{store: store, graph: graph} do
      set = table(store, :set, [1])

      for fun <- [
            &Rhizome.count/1,
            &Rhizome.fwd/1,
            &Rhizome.bwd/1,
            &Rhizome.fwd(&1, 1),
            &Rhizome.get(&1, 1),
            &Rhizome.insert(&1, 1),
            &Rhizome.to_list/1
          ] do
        assert_raise ArgumentError, ~r/Rhizome.Graph/, fn -> fun.(graph) end
      end

      for fun <- [
            &Graph.put_vertex(&1, 1),
            &Graph.put_edge(&1, 1, 2),
            &Graph.vertex_count/1,
            &Graph.vertices/1,
            &Batch.put_edge(Batch.new(), &1, 1, 2)
          ] do
        assert_raise ArgumentError, ~r/of type :graph/, fn -> fun.(set) end
      end

      assert_raise ArgumentError, ~r/:fwd/, fn ->
        Rhizome.create_table(store, :x, :graph, fwd: {set, :evict})
      end

      assert_raise ArgumentError, ~r/:directed/, fn ->
        Rhizome.create_table(store, :x, :set, directed: false)
      end

      assert_raise ArgumentError, ~r/:weight must be/, fn ->
        Rhizome.create_table(store, :x, :graph, weight: 3)
      end
    end

    test "is cleared and has what is put into it then", %{graph: graph} do
      Graph.put_edges!(graph, [{1, 2}, {2, 3, :l, 5}])
      Rhizome.clear!(graph)
      assert Enum.to_list(graph) == []
      assert {Graph.vertex_count(graph), Graph.edge_count(graph)} == {0, 0}
      Graph.put_edge!(graph, 2, 1)
      assert Graph.edge_count(graph) == 1
      assert Graph.vertices(graph) |> Enum.to_list() == [2, 1]
    end
  end

  test "an error names the vertex or the edge in its message", %{store: store, graph: graph} do
    {:error, error} = Graph.update_vertex(graph, {:bob, String.duplicate("b", 100)})
    assert Exception.message(error) =~ ~r/\(vertex {:bob, "b{30,50}" <> \.\.\.}, table :g\)$/

    weighted = Rhizome.create_table!(store, :w, :graph, weight: :value)
    {:error, error} = Graph.put_edge(weighted, :a, :b, value: :far)
    assert Exception.message(error) =~ "(edge from :a, table :w)"
    Graph.put_edge!(weighted, :a, :b, value: -1)
    {:error, error} = Graph.run(weighted, :sssp, source: :a, weighted: true)
    assert Exception.message(error) =~ "(edge from :a to :b"
    Graph.put_edge!(weighted, :b, :a, value: 1)
    {:error, error} = Graph.run(weighted, :topological_sort)
    assert Exception.message(error) =~ ~r/\(vertex :[ab]/
  end

  describe "vertices" do
    test "are put, updated, tested, counted and deleted", %{graph: graph} do
      assert %Change{outcome: :inserted, count: 1, evicted: []} = Graph.put_vertex!(graph, :ann)
      assert Graph.put_vertex!(graph, :ann).outcome == :exists

      change = Graph.put_vertex!(graph, :ann, value: 1, labels: [:b, :a, :b])
      assert change.outcome == :updated
      assert change.evicted == [{:vertex, :ann, nil, []}]

      assert {:vertex, :ann, 1, labels} = Graph.get_vertex(graph, :ann)
      assert sorted(labels) == [:a, :b]
      assert Graph.put_vertex!(graph, :ann, value: 1, labels: [:a, :b]).outcome == :exists
      assert Graph.vertex_count(graph, label: :a) == 1
      assert Graph.vertex_count(graph, label: :c) == 0

      assert Graph.update_vertex!(graph, :ann, value: 2).outcome == :updated
      assert Graph.get_vertex(graph, :ann) == {:vertex, :ann, 2, []}
      assert Graph.vertex_count(graph, label: :a) == 0

      assert {:error, %Error{code: :no_vertex}} = Graph.update_vertex(graph, :bob, value: 2)
      assert Graph.delete_vertex!(graph, :bob).outcome == :absent
      assert Graph.delete_vertex!(graph, :ann).evicted == [{:vertex, :ann, 2, []}]
      refute Graph.has_vertex?(graph, :ann)
      assert Graph.get_vertex(graph, :ann) == nil
    end

    test "are any terms, tuples like elements among them", %{graph: graph} do
      terms = [
        1,
        1.0,
        -0.0,
        nil,
        :none,
        :any,
        "text",
        ~c"list",
        {1, 2, 3},
        {:vertex, 1},
        {:edge, 1, 2, 3, 4},
        %{a: [1]},
        {1, nil, []},
        <<1::3>>
      ]

      Graph.put_vertices!(graph, terms)
      assert Enum.to_list(Graph.vertices(graph)) === terms
      assert Graph.get_vertices(graph, terms) === for(t <- terms, do: {:vertex, t, nil, []})
      whole = {:vertex, {:vertex, 1, 2, []}, :value, ["l", {:label, 1}]}
      Graph.put_vertices!(graph, [whole])

      assert {:vertex, {:vertex, 1, 2, []}, :value, labels} =
               Graph.get_vertex(graph, elem(whole, 1))

      assert sorted(labels) == sorted(["l", {:label, 1}])
      for term <- terms, do: Graph.put_edge!(graph, term, {term})
      for term <- terms, do: assert(Graph.out_neighbors(graph, term) === [{term}])
      assert Graph.delete_vertices!(graph, terms ++ [:absent]).outcome == length(terms)
      assert Graph.edge_count(graph) == 0
    end

    test "stream in pages, filtered and bounded", %{graph: graph} do
      Graph.put_vertices!(graph, for(n <- 1..1000, do: {:vertex, n, rem(n, 10), [rem(n, 2)]}))
      assert Enum.to_list(Graph.vertices(graph, page_size: 7)) == Enum.to_list(1..1000)
      assert Enum.to_list(Graph.vertices(graph, limit: 3)) == [1, 2, 3]
      nines = Enum.to_list(Graph.vertices(graph, where: {:==, :value, 9}, page_size: 13))
      assert nines == Enum.to_list(9..999//10)
      assert Enum.take(Graph.vertices(graph, label: 1), 3) == [1, 3, 5]
      assert Enum.to_list(Graph.vertices(graph, label: 1, limit: 2)) == [1, 3]
      # A limit ends a request and not the stream.
      assert Enum.to_list(Graph.vertices(graph, where: {:>, :key, 998}, max_rows: 100)) == [
               999,
               1000
             ]

      assert Enum.count(graph) == 1000
      # Live: what was returned may be deleted.
      for n <- Graph.vertices(graph, page_size: 10), do: Graph.delete_vertex!(graph, n)
      assert Graph.vertex_count(graph) == 0
    end
  end

  describe "edges" do
    test "bring their vertices, and go with them", %{graph: graph} do
      assert Graph.put_edge!(graph, :a, :b, label: :l, value: 1).outcome == :inserted
      assert Graph.put_edge!(graph, :a, :b, label: :l, value: 1).outcome == :exists
      assert Graph.put_edge!(graph, :a, :b, label: :m).outcome == :inserted
      assert Graph.put_edge!(graph, :a, :b).outcome == :inserted
      assert Graph.put_edge!(graph, :a, :a).outcome == :inserted
      assert Graph.put_edge!(graph, :b, :a).outcome == :inserted
      assert Graph.edge_count(graph) == 5
      assert {Graph.edge_count(graph, label: :l), Graph.edge_count(graph, label: nil)} == {1, 3}
      assert Graph.get_edge(graph, :a, :b, label: :l) == {:edge, :a, :b, :l, 1}
      assert Graph.has_edge?(graph, :a, :b)
      assert Graph.has_edge?(graph, :a, :b, label: nil)
      refute Graph.has_edge?(graph, :a, :b, label: :x)
      refute Graph.has_edge?(graph, :a, :nobody)

      change = Graph.delete_vertex!(graph, :b)

      assert sorted(change.evicted) ==
               sorted([
                 {:edge, :a, :b, :l, 1},
                 {:edge, :a, :b, :m, nil},
                 {:edge, :a, :b, nil, nil},
                 {:edge, :b, :a, nil, nil},
                 {:vertex, :b, nil, []}
               ])

      assert List.last(change.evicted) == {:vertex, :b, nil, []}
      assert elements(graph) == [{:vertex, :a, nil, []}, {:edge, :a, :a, nil, nil}]
      assert Graph.delete_edge!(graph, :a, :a).outcome == :deleted
      assert Graph.delete_edge!(graph, :a, :a).outcome == :absent
    end

    test "are updated where they are", %{graph: graph} do
      Graph.put_edge!(graph, 1, 2, label: :l, value: 1)

      assert Graph.update_edge!(graph, 1, 2, label: :l, value: 2).evicted == [
               {:edge, 1, 2, :l, 1}
             ]

      assert {:error, %Error{code: :not_found}} = Graph.update_edge(graph, 1, 2, value: 2)
      assert {:error, %Error{}} = Graph.update_edge(graph, 1, :nobody, value: 2)
      assert Graph.get_edge(graph, 1, 2, label: :l) == {:edge, 1, 2, :l, 2}
    end

    test "of an undirected graph have no direction", %{store: store} do
      graph = Rhizome.create_table!(store, :u, :graph, directed: false)
      Graph.put_edges!(graph, [{:a, :b, :l, 1}, {:c, :a}, {:b, :b}])
      assert Graph.put_edge!(graph, :b, :a, label: :l, value: 1).outcome == :exists
      assert Graph.edge_count(graph) == 3
      assert Graph.has_edge?(graph, :b, :a)
      assert {:edge, :b, :a, :l, 1} = Graph.get_edge(graph, :b, :a, label: :l)
      assert sorted(Graph.neighbors(graph, :a)) == [:b, :c]
      assert sorted(Graph.out_neighbors(graph, :a)) == [:b, :c]
      assert Graph.shortest_path(graph, :b, :c) == {2, [:b, :a, :c]}
      assert Graph.delete_edge!(graph, :b, :a, label: :l).outcome == :deleted
      refute Graph.has_edge?(graph, :a, :b)
    end

    test "have weights where the graph says so", %{store: store} do
      graph = Rhizome.create_table!(store, :w, :graph, weight: {:key, :km})

      Graph.put_edges!(graph, [
        {:a, :b, nil, %{km: 5}},
        {:b, :c, nil, %{km: 2.5}},
        {:a, :c, :slow}
      ])

      assert {:error, %Error{code: :bad_weight}} =
               Graph.put_edge(graph, :x, :y, value: %{km: :far})

      assert Graph.shortest_path(graph, :a, :c, weighted: true) == {1, [:a, :c]}
      Graph.put_edge!(graph, :a, :c, label: :slow, value: %{km: 20})
      assert Graph.shortest_path(graph, :a, :c, weighted: true) == {7.5, [:a, :b, :c]}
    end

    test "may have the label :any, which is one among others", %{graph: graph} do
      Graph.put_edges!(graph, [{1, 2, :any}, {1, 3, :x}])
      Graph.put_vertex!(graph, 1, labels: [:any])
      assert Graph.edge_count(graph, label: :any) == 1
      assert Graph.vertex_count(graph, label: :any) == 1
      assert Graph.has_edge?(graph, 1, 2, label: :any)
      refute Graph.has_edge?(graph, 1, 3, label: :any)
      assert Graph.out_neighbors(graph, 1, labels: [:any]) == [2]
      assert_raise ArgumentError, ~r/no label/, fn -> Graph.vertex_count(graph, label: nil) end
      assert_raise ArgumentError, ~r/no label/, fn -> Graph.vertices(graph, label: nil) end
    end

    test "wrong ones raise before anything is sent", %{graph: graph} do
      assert_raise ArgumentError, ~r/an edge is/, fn -> Graph.put_edges(graph, [:a]) end
      assert_raise ArgumentError, ~r/an edge is/, fn -> Graph.delete_edges(graph, [{1}]) end

      assert_raise ArgumentError, ~r/unknown option :lable/, fn ->
        Graph.put_edge(graph, 1, 2, lable: 1)
      end

      assert_raise ArgumentError, ~r/:labels must be/, fn ->
        Graph.put_vertex(graph, 1, labels: :a)
      end

      assert_raise ArgumentError, ~r/take no :at/, fn -> Graph.put_edge(graph, 1, 2, at: 1) end
      assert_raise ArgumentError, ~r/an element of a graph/, fn -> Enum.into([{1, 2}], graph) end
    end
  end

  describe "a graph as a collection" do
    test "takes elements in thousands and gives them back", %{store: store, graph: graph} do
      vertices = for n <- 1..1500, do: {:vertex, n, n * n, [rem(n, 3)]}
      edges = for n <- 1..1499, do: {:edge, n, n + 1, :next, nil}
      assert Enum.into(vertices ++ edges, graph) == graph
      assert Enum.to_list(graph) == vertices ++ edges
      assert Enum.count(graph) == 2999
      assert {:vertex, 3, 9, [0]} in graph
      refute {:vertex, 3, 8, [0]} in graph
      assert {:edge, 3, 4, :next, nil} in graph
      refute {:edge, 3, 4, nil, nil} in graph
      refute 3 in graph

      copy = Enum.into(graph, Rhizome.create_table!(store, :copy, :graph))
      assert Graph.digest(copy) == Graph.digest(graph)
      Graph.delete_edge!(copy, 3, 4, label: :next)
      assert Graph.digest(copy) != Graph.digest(graph)
    end
  end

  describe "batches, transactions and versions" do
    test "a batch does all of it or nothing", %{store: store, graph: graph} do
      owns = table(store, :one_to_many)

      batch =
        Batch.new()
        |> Batch.put_vertex(graph, :ann, value: 1, labels: [:person])
        |> Batch.put_vertices(graph, [:bob, :cid])
        |> Batch.put_edge(graph, :ann, :bob, label: :knows)
        |> Batch.put_edges(graph, [{:bob, :cid}, {:cid, :ann}])
        |> Batch.update_vertex(graph, :bob, value: 2)
        |> Batch.update_edge(graph, :ann, :bob, label: :knows, value: 3)
        |> Batch.delete_edge(graph, :bob, :cid)
        |> Batch.delete_edges(graph, [{:cid, :ann}])
        |> Batch.delete_vertex(graph, :cid)
        |> Batch.delete_vertices(graph, [:cid, :ann])
        |> Batch.put(owns, :ann, :sword)

      outcomes = for %Change{outcome: outcome} <- Rhizome.run!(store, batch), do: outcome

      assert outcomes ==
               [
                 :inserted,
                 2,
                 :inserted,
                 2,
                 :updated,
                 :updated,
                 :deleted,
                 1,
                 :deleted,
                 1,
                 :inserted
               ]

      assert elements(graph) == [{:vertex, :bob, 2, []}]

      assert {:error, %Error{code: :no_vertex, details: %{index: 1}}} =
               Rhizome.run(
                 store,
                 Batch.new() |> Batch.put_vertex(graph, :x) |> Batch.update_vertex(graph, :y)
               )

      refute Graph.has_vertex?(graph, :x)
    end

    test "snapshots and forks hold still", %{store: store, graph: graph} do
      Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])
      before = Rhizome.snapshot!(store)
      digest = Graph.digest(graph)
      Graph.delete_vertex!(graph, :b)
      Graph.put_edge!(graph, :a, :d)

      assert Graph.reachable?(graph, :a, :c, at: before)
      assert Graph.out_neighbors(graph, :a, at: before) == [:b]
      assert Graph.digest(graph, at: before) == digest
      old = Rhizome.on(graph, before)
      assert Graph.k_hop(old, [:a], 5) == [{:a, 0}, {:b, 1}, {:c, 2}]
      assert Enum.count(old) == 5
      assert Graph.vertex_count(graph, at: before) == 3
      assert_raise ArgumentError, ~r/read-only/, fn -> Graph.put_vertex(old, :x) end

      fork = Rhizome.fork!(before)
      what_if = Rhizome.on(graph, fork)
      Graph.put_edge!(what_if, :c, :a)
      assert Graph.reachable?(what_if, :b, :a)
      refute Graph.has_vertex?(graph, :b)
      Rhizome.discard(fork)
    end

    test "a transaction is in conflict with whoever changed what it read", context do
      %{store: store, graph: graph} = context
      Graph.put_edges!(graph, [{:a, :b}, {:b, :c}])

      assert {:ok, [:b]} =
               Rhizome.transaction(store, fn tx ->
                 graph = Rhizome.on(graph, tx)
                 Graph.put_edge(graph, :a, :x, await: false)
                 neighbours = Graph.out_neighbors(graph, :a)
                 Graph.delete_edge!(graph, :a, :b)
                 assert :x in neighbours
                 neighbours -- [:x]
               end)

      assert Graph.out_neighbors(graph, :a) == [:x]

      Graph.put_vertices!(graph, [:b, :never])

      for {read, write} <- [
            {&Graph.out_neighbors(&1, :a), &Graph.put_edge!(&1, :a, :z1)},
            {&Graph.get_vertex(&1, :a), &Graph.put_vertex!(&1, :a, value: make_ref())},
            {&Graph.has_vertex?(&1, :q1), &Graph.put_vertex!(&1, :q1)},
            {&Graph.vertex_count/1, &Graph.put_vertex!(&1, make_ref())},
            {&Enum.to_list/1, &Graph.put_edge!(&1, :c, :z2)},
            {&Graph.digest/1, &Graph.put_edge!(&1, :c, :z3)},
            {&Graph.reachable?(&1, :b, :never), &Graph.put_edge!(&1, :c, :never)}
          ] do
        fork = Rhizome.fork!(store)
        read.(Rhizome.on(graph, fork))
        Graph.put_vertex!(Rhizome.on(graph, fork), :other, value: make_ref())
        write.(graph)
        assert {:error, %Error{code: :conflict}} = Rhizome.commit(fork)
      end
    end

    test "a mutation that expects a seq, or comes with a key", %{store: store, graph: graph} do
      seq = Rhizome.info(store).seq
      assert Graph.put_edge!(graph, 1, 2, expect: seq).outcome == :inserted
      assert {:error, %Error{code: :stale}} = Graph.put_edge(graph, 1, 3, expect: seq)

      for _twice <- 1..2 do
        assert Graph.put_vertex!(graph, :k, value: 1, idempotency_key: :once).outcome == :inserted
      end
    end

    test "a handle stands for one state", %{graph: graph} do
      h1 = Handle.new(graph)
      {:ok, h2} = Handle.put_vertex(h1, :ann, labels: [:person])
      {:ok, h3} = Handle.put_edge(h2, :ann, :bob, value: 3)
      assert Enum.count(h3) == 3
      assert {:edge, :ann, :bob, nil, 3} in h3
      assert Handle.read(h3, &Graph.out_degree(&1, :ann)) == 1
      assert_raise Rhizome.StaleError, fn -> Handle.put_edge(h2, :ann, :cid) end
      {:ok, h4} = Handle.delete_edge(h3, :ann, :bob)
      {:ok, h5} = Handle.delete_vertex(h4, :ann)
      assert Enum.to_list(h5) == [{:vertex, :bob, nil, []}]
      h6 = Enum.into([{:edge, 1, 2, nil, nil}], h5)
      assert Handle.clear!(h6) |> Enum.to_list() == []
      assert_raise Rhizome.StaleError, fn -> Enum.to_list(h5) end
    end
  end

  describe "the change feed" do
    test "tells elements, and nothing of parts", %{store: store, graph: graph} do
      {:ok, %{ref: ref} = subscription} = Rhizome.subscribe(store, :all)
      Graph.put_edge!(graph, :a, :b, label: :l, value: 1)
      Graph.put_vertex!(graph, :a, value: 2, labels: [:x])
      Graph.delete_vertex!(graph, :b)
      Rhizome.drop_table!(graph)
      seq = Rhizome.info(store).seq

      assert told(ref, seq) == [
               {:g, :insert, {:vertex, :a, nil, []}},
               {:g, :insert, {:vertex, :b, nil, []}},
               {:g, :insert, {:edge, :a, :b, :l, 1}},
               {:g, :delete, {:vertex, :a, nil, []}},
               {:g, :insert, {:vertex, :a, 2, [:x]}},
               {:g, :delete, {:edge, :a, :b, :l, 1}},
               {:g, :delete, {:vertex, :b, nil, []}},
               {:g, :drop, :graph}
             ]

      Rhizome.unsubscribe(subscription)
    end

    test "can be followed by a copy", %{store: store, graph: graph} do
      {:ok, %{ref: ref}} = Rhizome.subscribe(store, [graph])
      Graph.put_edges!(graph, for(n <- 1..50, do: {n, rem(n * 7, 50), rem(n, 3), n}))
      Graph.delete_vertices!(graph, [3, 7, 11])
      Graph.put_vertices!(graph, [{:vertex, 5, :five, [:odd]}])
      Graph.delete_edges!(graph, [{5, 35, 2}])

      copy =
        for {:g, what, element} <- told(ref, Rhizome.info(store).seq), reduce: MapSet.new() do
          copy when what == :insert -> MapSet.put(copy, element)
          copy when what == :delete -> MapSet.delete(copy, element)
        end

      assert copy == MapSet.new(graph)
    end

    defp told(ref, seq) do
      receive do
        {:rhizome, ^ref, {:changes, changes}} ->
          here = Enum.flat_map(changes, & &1.changes)
          if List.last(changes).seq >= seq, do: here, else: here ++ told(ref, seq)
      after
        5_000 -> flunk("the feed says nothing")
      end
    end
  end

  describe "on the disk" do
    @describetag :tmp_dir

    test "a graph comes back, after a checkpoint and without one", %{tmp_dir: tmp_dir} do
      dir = Path.join(tmp_dir, "data")
      {:ok, store} = Rhizome.start_link(dir: dir, start_timeout: 20_000)
      graph = Rhizome.create_table!(store, :g, :graph, directed: false, weight: :value)
      Graph.put_vertices!(graph, [{:vertex, :a, 1, [:x, "y"]}, :lonely])
      Graph.put_edges!(graph, [{:a, :b, :l, 5}, {:b, :c, nil, 2}])
      digests = [Graph.digest(graph)]
      Rhizome.stop(store)

      {:ok, store} = Rhizome.start_link(dir: dir, start_timeout: 20_000)
      {:ok, graph} = Rhizome.table(store, :g)
      assert [Graph.digest(graph)] == digests
      Rhizome.checkpoint!(store)
      Graph.delete_vertex!(graph, :lonely)
      Graph.put_edge!(graph, :c, :a, value: 1)
      held = elements(graph)
      digest = Graph.digest(graph)
      Rhizome.stop(store)

      {:ok, store} = Rhizome.start_link(dir: dir, start_timeout: 20_000)
      {:ok, graph} = Rhizome.table(store, :g)
      assert elements(graph) == held
      assert Graph.digest(graph) == digest
      assert %{directed: false, weight: :value} = Rhizome.table_info(graph)
      assert Graph.shortest_path(graph, :a, :b, weighted: true) == {3, [:a, :c, :b]}
      Rhizome.stop(store)
    end
  end

  describe "walks" do
    setup %{graph: graph} do
      # 1 -> 2 -> 3 -> 4 -> 1, 1 -> 3, 5 -> 1, and 6 alone
      Graph.put_vertices!(
        graph,
        for(n <- 1..6, do: {:vertex, n, n, [if(rem(n, 2) == 0, do: :even, else: :odd)]})
      )

      Graph.put_edges!(graph, [
        {1, 2, :a, 1},
        {2, 3, :a, 2},
        {3, 4, :b, 3},
        {4, 1, :b, 4},
        {1, 3, :c, 9},
        {5, 1, :a, 5}
      ])

      :ok
    end

    test "go where they are let", %{graph: graph} do
      assert sorted(Graph.neighbors(graph, 1)) == [2, 3, 4, 5]
      assert sorted(Graph.in_neighbors(graph, 1)) == [4, 5]
      assert Graph.neighbors(graph, 6) == []
      assert Graph.out_neighbors(graph, 1, labels: [:c]) == [3]
      assert Graph.out_neighbors(graph, 1, labels: [:nowhere]) == []
      assert Graph.neighbors(graph, 1, vertex_labels: [:even]) |> sorted() == [2, 4]
      assert Graph.neighbors(graph, 1, edges: {:>=, :value, 5}) |> sorted() == [3, 5]
      assert Graph.neighbors(graph, 1, vertices: {:in, :key, [2, 5]}) |> sorted() == [2, 5]
      assert length(Graph.neighbors(graph, 1, limit: 2)) == 2
      assert length(Graph.neighbors(graph, 1, direction: :out, degree: 1)) == 1
      assert Graph.degree(graph, 1) == 4
      assert {Graph.out_degree(graph, 1), Graph.in_degree(graph, 1)} == {2, 2}
      assert Graph.degrees(graph, [1, 6, 5]) == [4, 0, 1]

      assert sorted(Graph.out_edges(graph, 1)) == [{:edge, 1, 2, :a, 1}, {:edge, 1, 3, :c, 9}]
      assert sorted(Graph.in_edges(graph, 1)) == [{:edge, 4, 1, :b, 4}, {:edge, 5, 1, :a, 5}]
      assert length(Graph.incident_edges(graph, 1)) == 4
    end

    test "reach in steps", %{graph: graph} do
      assert sorted(Graph.k_hop(graph, [1], 1)) == [{1, 0}, {2, 1}, {3, 1}]
      assert sorted(Graph.k_hop(graph, [2, 5], 1)) == [{1, 1}, {2, 0}, {3, 1}, {5, 0}]
      assert Graph.k_hop(graph, [6], 100) == [{6, 0}]
      assert Graph.k_hop(graph, [1], 0) == [{1, 0}]
      assert sorted(Graph.reachable(graph, [5])) == [1, 2, 3, 4, 5]
      assert sorted(Graph.reaching(graph, [1])) == [1, 2, 3, 4, 5]
      assert {1, 0, nil} = hd(Graph.bfs(graph, 1))
      assert Graph.bfs(graph, 1) |> sorted() == [{1, 0, nil}, {2, 1, 1}, {3, 1, 1}, {4, 2, 3}]
      assert length(Graph.dfs(graph, 1)) == 4
      assert Graph.bfs(graph, 1, depth: 1) |> sorted() == [{1, 0, nil}, {2, 1, 1}, {3, 1, 1}]
      assert Graph.bfs(graph, 1, limit: 2) |> length() == 2
      assert Graph.reachable?(graph, 5, 4)
      refute Graph.reachable?(graph, 1, 5)
      assert Graph.reachable?(graph, 1, 5, direction: :both)
      refute Graph.reachable?(graph, 5, 4, depth: 2)
      assert Graph.reachable?(graph, 6, 6)
    end

    test "find paths", %{store: store, graph: graph} do
      assert Graph.shortest_path(graph, 1, 4) == {2, [1, 3, 4]}
      assert Graph.shortest_path(graph, 1, 6) == nil
      assert Graph.shortest_path(graph, 6, 6) == {0, [6]}
      assert Graph.shortest_path(graph, 1, 4, depth: 1) == nil
      assert Graph.all_shortest_paths(graph, 5, 4) == [[5, 1, 3, 4]]
      assert [{2, [1, 3, 4]}, {3, [1, 2, 3, 4]}] = Graph.k_shortest_paths(graph, 1, 4, 5)
      assert sorted(Graph.paths(graph, 1, 4, 3)) == [[1, 2, 3, 4], [1, 3, 4]]
      assert Graph.paths(graph, 1, 4, 3, limit: 1) |> length() == 1
      assert sorted(Graph.paths(graph, 5, :any, 2)) |> length() >= 3
      assert Graph.shortest_paths_to(graph, 5, [4, 6]) == [{4, 3, [5, 1, 3, 4]}]
      assert length(Graph.shortest_paths_to(graph, 5, :all)) == 5
      assert Graph.common_neighbors(graph, 2, 4) |> sorted() == [1, 3]
      assert Graph.jaccard(graph, 2, 4) == 1.0
      assert [1 | _] = walk = Graph.random_walk(graph, 1, 20, seed: 1)
      assert length(walk) == 21
      assert Graph.random_walk(graph, 6, 20) == [6]

      weighted = Rhizome.create_table!(store, :w, :graph, weight: :value)
      Enum.into(graph, weighted)
      assert Graph.shortest_path(weighted, 1, 4, weighted: true) == {6, [1, 2, 3, 4]}
      zero = Rhizome.create_table!(store, :zero, :to_one)
      Rhizome.insert_all!(zero, for(n <- 1..6, do: {n, 0}))

      assert Graph.shortest_path(weighted, 1, 4, weighted: true, heuristic: zero) ==
               {6, [1, 2, 3, 4]}

      assert [{4, 11, [5, 1, 2, 3, 4]}] =
               Graph.shortest_paths_to(weighted, 5, [4], weighted: true)

      Graph.put_edge!(weighted, 1, 2, label: :a, value: -1)

      assert {:error, %Error{code: :bad_weight}} =
               rescued(fn -> Graph.shortest_path(weighted, 1, 4, weighted: true) end)
    end

    test "give a part", %{store: store, graph: graph} do
      {vertices, edges} = Graph.subgraph(graph, [1, 2, 3])
      assert for({:vertex, v, _, _} <- vertices, do: v) |> sorted() == [1, 2, 3]
      assert sorted(edges) == [{:edge, 1, 2, :a, 1}, {:edge, 1, 3, :c, 9}, {:edge, 2, 3, :a, 2}]
      part = Rhizome.create_table!(store, :part, :graph)
      assert Graph.subgraph(graph, [1, 2, 3], into: part) == part
      assert elements(part) == sorted(vertices ++ edges)
    end

    test "begin at what is there, and end at limits", %{graph: graph} do
      for fun <- [
            &Graph.neighbors(graph, &1),
            &Graph.degree(graph, &1),
            &Graph.k_hop(graph, [1, &1], 2),
            &Graph.bfs(graph, &1),
            &Graph.shortest_path(graph, 1, &1),
            &Graph.shortest_path(graph, &1, 1),
            &Graph.random_walk(graph, &1, 5)
          ] do
        assert {:error, %Error{code: :no_vertex}} = rescued(fn -> fun.(:nobody) end)
      end

      assert {:error, %Error{code: :row_limit}} =
               rescued(fn -> Graph.k_hop(graph, [1], 9, max_rows: 2) end)

      assert_raise ArgumentError, ~r/a list of vertices/, fn -> Graph.k_hop(graph, 1, 2) end

      assert_raise ArgumentError, ~r/a condition/, fn ->
        Graph.neighbors(graph, 1, edges: {:a})
      end

      assert_raise ArgumentError, ~r/:direction is not/, fn ->
        Graph.in_degree(graph, 1, direction: :out)
      end
    end

    test "keep nobody waiting at a vertex with very many edges", %{store: store, graph: graph} do
      spokes = for n <- 1..200_000, do: {:hub, {:spoke, n}}
      Enum.each(Enum.chunk_every(spokes, 20_000), &Graph.put_edges!(graph, &1))
      assert Graph.out_degree(graph, :hub) == 200_000
      assert length(Graph.neighbors(graph, :hub, limit: 10)) == 10
      assert length(Graph.k_hop(graph, [:hub], 1, degree: 10)) == 11

      walker =
        Task.async(fn -> Graph.k_hop(graph, [:hub], 3, direction: :both, timeout: 60_000) end)

      {ms, _pongs} = timed(fn -> for _n <- 1..50, do: :ok = Rhizome.ping(store) end)
      assert ms < 5_000
      assert length(Task.await(walker, 60_000)) == 200_001

      for {options, code} <- [
            {[max_rows: 1_000], :row_limit},
            {[max_memory: 10_000], :memory_budget},
            {[timeout: 1], :deadline}
          ] do
        assert {:error, %Error{code: ^code}} =
                 rescued(fn -> Graph.k_hop(graph, [:hub], 3, [direction: :both] ++ options) end)
      end

      assert Graph.delete_vertex!(graph, :hub).outcome == :deleted
      assert Graph.edge_count(graph) == 6
    end

    test "go over tables of pairs and paths of them", %{store: store} do
      owns = Rhizome.create_table!(store, :owns, :one_to_many)
      made = Rhizome.create_table!(store, :made, :many_to_many)
      Rhizome.insert_all!(owns, [{:ann, :sword}, {:ann, :bow}, {:bob, :axe}])
      Rhizome.insert_all!(made, [{:sword, :iron}, {:axe, :iron}, {:axe, :wood}, {:bow, :wood}])

      assert sorted(Graph.out_neighbors(owns, :ann)) == [:bow, :sword]
      assert Graph.out_neighbors(Rhizome.bwd(owns), :axe) == [:bob]
      assert Graph.in_neighbors(owns, :axe) == [:bob]
      assert sorted(Graph.out_neighbors([owns, made], :bob)) == [:iron, :wood]

      both = [owns, made, Rhizome.bwd(made), Rhizome.bwd(owns)]
      assert sorted(Graph.out_neighbors(both, :bob)) == [:ann, :bob]
      assert Graph.shortest_path(both, :ann, :bob) == {1, [:ann, :bob]}
      assert Graph.reachable?(owns, :ann, :bow)

      snapshot = Rhizome.snapshot!(store)
      Rhizome.delete_key!(owns, :bob)
      assert Graph.shortest_path(both, :ann, :bob, at: snapshot) == {1, [:ann, :bob]}

      for wrong <- [
            [],
            table(store, :set),
            Rhizome.fwd(owns, :ann),
            [:owns],
            :owns,
            List.duplicate(owns, 9)
          ] do
        assert_raise ArgumentError, ~r/expected a graph/, fn -> Graph.neighbors(wrong, :ann) end
      end
    end
  end

  describe "consolidation" do
    test "contract and expand", %{graph: graph} do
      Graph.put_vertices!(graph, [
        {:vertex, :a, 1, [:x]},
        {:vertex, :b, 2, [:y]},
        {:vertex, :c, 3, []}
      ])

      Graph.put_edges!(graph, [
        {:a, :b, :in, 1},
        {:a, :c, :l, 2},
        {:b, :c, :l, 3},
        {:c, :b, :l, 4},
        {:b, :c, :m, 5}
      ])

      before = Graph.digest(graph)
      held = elements(graph)

      Graph.contract!(graph, :ab, [:a, :b], value: :sum, edges: :sum)
      assert {:vertex, :ab, 3, _labels} = Graph.get_vertex(graph, :ab)

      assert sorted(Graph.edges(graph)) == [
               {:edge, :ab, :c, :l, 5},
               {:edge, :ab, :c, :m, 5},
               {:edge, :c, :ab, :l, 4}
             ]

      refute Graph.has_vertex?(graph, :a)
      Graph.expand!(graph, :ab)
      assert elements(graph) == held
      assert Graph.digest(graph) == before

      for {value, expected} <- [first: 1, count: 2, min: 1, max: 2, put: :new] do
        rule = if value == :put, do: {:put, :new}, else: value
        Graph.contract!(graph, :ab, [:a, :b], value: rule, loops: :keep)
        assert {:vertex, :ab, ^expected, _} = Graph.get_vertex(graph, :ab)
        assert Graph.has_edge?(graph, :ab, :ab)
        Graph.expand!(graph, :ab)
        assert Graph.digest(graph) == before
      end

      assert {:error, %Error{}} = Graph.contract(graph, :z, [:a, :nobody])
      assert {:error, %Error{}} = Graph.expand(graph, :a)
      assert Graph.digest(graph) == before
    end
  end

  describe "pictures" do
    test "in the language of Graphviz", %{store: store, graph: graph} do
      Graph.put_edge!(graph, "say \"hi\"\\", :b, label: "to\nhim")

      assert Graph.to_dot(graph) == """
             digraph {
               n0 [label="say \\"hi\\"\\\\"];
               n1 [label=":b"];
               n0 -> n1 [label="to\\nhim"];
             }\
             """

      Graph.put_edge!(graph, :b, :c, value: 7)

      text =
        Graph.to_dot(graph, vertices: [:b, :c], edge: fn {:edge, _, _, _, value} -> value end)

      assert text =~ ~s(n0 -> n1 [label="7"])

      assert text ==
               Graph.to_dot(Graph.subgraph(graph, [:b, :c]), edge: fn {:edge, _, _, _, v} -> v end)

      u = Rhizome.create_table!(store, :u, :graph, directed: false)
      Graph.put_edge!(u, 1, 2)

      assert Graph.to_dot(u) =~
               "graph {\n  n0 [label=\"1\"];\n  n1 [label=\"2\"];\n  n0 -- n1;\n}"

      assert Graph.to_dot(u, directed: true) =~ "n0 -> n1"
    end

    test "in Mermaid", %{graph: graph} do
      Graph.put_vertices!(graph, ["a|b", "<c>"])
      Graph.put_edge!(graph, "a|b", "<c>", label: "\"x\"#1")

      assert Graph.to_mermaid(graph) ==
               ~s(flowchart LR\n  n0["a#124;b"]\n  n1["#lt;c#gt;"]\n  n0 -->|"#quot;x#quot;#35;1"| n1)

      for wrong <- [:g, nil, %{}, {1, 2}, {[1], []}, {[], [2]}, {[{:vertex, 1}], []}],
          fun <- [&Graph.to_dot/1, &Graph.to_mermaid/1] do
        assert_raise ArgumentError, ~r/expected a graph/, fn -> fun.(wrong) end
      end

      assert_raise ArgumentError, ~r/an end of this edge/, fn ->
        Graph.to_dot({[{:vertex, 1, nil, []}], [{:edge, 1, 2, nil, nil}]})
      end
    end
  end

  defp rescued(fun) do
    {:ok, fun.()}
  rescue
    error in Error -> {:error, error}
  end
end
