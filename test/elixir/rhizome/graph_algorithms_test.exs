defmodule Rhizome.GraphAlgorithmsTest do
  use Rhizome.Case, async: true

  alias Rhizome.{Error, Graph}
  alias Rhizome.Graph.{Algorithms, Catalogue, Projection, Result}

  doctest Rhizome.Graph.Algorithms
  doctest Rhizome.Graph.Projection
  doctest Rhizome.Graph.Result

  setup do
    store = start_store()
    graph = Rhizome.create_table!(store, :g, :graph, weight: :value)

    # Two circles of three, a bridge between them, a tail, and one that is alone.
    Graph.put_edges!(graph, [
      {1, 2, nil, 1},
      {2, 3, nil, 2},
      {3, 1, nil, 3},
      {3, 4, nil, 10},
      {4, 5, nil, 1},
      {5, 6, nil, 1},
      {6, 4, nil, 1},
      {6, 7, nil, 5}
    ])

    Graph.put_vertex!(graph, 8)
    %{store: store, graph: graph}
  end

  defp rows(graph, algorithm, options \\ []) do
    Algorithms.with_result(graph, algorithm, &Enum.to_list/1, options)
  end

  defp groups(rows) do
    rows
    |> Enum.group_by(&elem(&1, 1), &elem(&1, 0))
    |> Map.values()
    |> Enum.map(&Enum.sort/1)
    |> Enum.sort()
  end

  # Nothing is running, kept or projected, and the daemon has what it had before.
  defp idle?(store) do
    Algorithms.running(store) == [] and
      Enum.all?(Graph.projections(store), &(&1.running == 0))
  end

  test "the catalogue in words is that of the daemon", %{store: store} do
    daemons = for algorithm <- Algorithms.list(store), into: %{}, do: {algorithm.name, algorithm}
    words = for algorithm <- Catalogue.all(), into: %{}, do: {algorithm.name, algorithm}
    assert Enum.sort(Map.keys(daemons)) == Enum.sort(Map.keys(words))

    for {name, %{parameters: parameters, columns: columns}} <- daemons do
      [row] = Regex.run(~r/`\{(.*?)\}`/, words[name].rows, capture: :all_but_first)
      row = for column <- String.split(row, ", "), do: String.to_atom(column)
      assert List.starts_with?(columns, row), "columns of #{name}"

      assert Enum.sort(for(p <- parameters, do: p.name)) ==
               Enum.sort(Keyword.keys(words[name].parameters)),
             "parameters of #{name}"

      for %{name: parameter, required: true} <- parameters do
        assert parameter in words[name].required
      end

      for bang <- ["", "!"] do
        assert function_exported?(Algorithms, :"#{name}#{bang}", 2)
      end
    end
  end

  test "each of them runs, in all modes, and gives everything back", %{store: store, graph: graph} do
    sources = [bfs: [source: 1], sssp: [source: 1], max_flow: [source: 1, target: 7]]
    dag = Rhizome.create_table!(store, :dag, :graph)
    Graph.put_edges!(dag, [{1, 2}, {2, 3}, {1, 3}])

    for %{name: name} <- Catalogue.all() do
      graph = if name in [:topological_sort, :transitive_reduction], do: dag, else: graph
      options = Keyword.get(sources, name, [])
      assert {:ok, %Result{} = result} = apply(Algorithms, name, [graph, options])
      rows = Enum.to_list(result)
      assert length(rows) == result.count
      assert Enum.all?(rows, &is_tuple/1)
      assert Enum.count(result) == result.count
      assert Enum.slice(result, 1, 2) == Enum.slice(rows, 1, 2)
      assert Enum.to_list(Result.stream(result, page_size: 2)) == rows

      figures = apply(Algorithms, :"#{name}!", [graph, [mode: :summary] ++ options])
      assert Map.keys(figures) -- [:rows, :seq] == Map.keys(result.summary)
      assert figures.seq == result.seq
      assert %{vertices: _, edges: _} = Graph.estimate(graph, name, options)
      assert Graph.release(result) == :ok
      assert {:error, %Error{code: :no_result}} = rescued(fn -> Enum.to_list(result) end)
    end

    assert idle?(store)
  end

  test "what they find", %{graph: graph} do
    assert rows(graph, :bfs, source: 1) |> Enum.sort() ==
             [
               {1, 0, nil},
               {2, 1, 1},
               {3, 2, 2},
               {4, 3, 3},
               {5, 4, 4},
               {6, 5, 5},
               {7, 6, 6},
               {8, nil, nil}
             ]

    distances = for {v, d, _parent} <- rows(graph, :sssp, source: 1, weighted: true), do: {v, d}
    assert {7, 20.0} in distances
    assert {8, :infinity} in distances
    assert groups(rows(graph, :wcc)) == [[1, 2, 3, 4, 5, 6, 7], [8]]
    assert groups(rows(graph, :scc)) == [[1, 2, 3], [4, 5, 6], [7], [8]]
    assert Enum.sum(for {_v, rank} <- rows(graph, :page_rank), do: rank) |> Float.round(6) == 1.0
    assert for({v, true} <- rows(graph, :articulation_points), do: v) |> Enum.sort() == [3, 4, 6]
    bridges = for {a, b} <- rows(graph, :bridges), do: Enum.sort([a, b])
    assert Enum.sort(bridges) == [[3, 4], [6, 7]]
    assert Algorithms.cycle!(graph, mode: :summary).length == 3
    cycles = for {cycle} <- rows(graph, :cycles), do: Enum.sort(cycle)
    assert Enum.sort(cycles) == [[1, 2, 3], [4, 5, 6]]
    cores = Map.new(rows(graph, :k_core))
    assert {cores[1], cores[7], cores[8]} == {2, 1, 0}
    assert Map.new(rows(graph, :triangle_count))[1] == 1

    assert Algorithms.max_flow!(graph, source: 1, target: 7, weighted: true, mode: :summary).flow ==
             1.0

    assert groups(rows(graph, :louvain)) |> Enum.member?([1, 2, 3])
    assert {1, 1, 1, 2} in rows(graph, :degree)
    forest = rows(graph, :spanning_forest, weighted: true)
    assert Enum.sum(for {_a, _b, weight} <- forest, do: weight) == 20.0
    colors = Map.new(rows(graph, :k1_coloring))
    for {:edge, a, b, _, _} <- Graph.edges(graph), do: assert(colors[a] != colors[b])
  end

  test "rows in order", %{graph: graph} do
    all = rows(graph, :page_rank, order: {:rank, :desc})
    assert all == Enum.sort_by(all, fn {_v, rank} -> -rank end)
    assert rows(graph, :page_rank, order: {:rank, :desc, 3}) == Enum.take(all, 3)
    assert length(rows(graph, :page_rank, order: {:rank, :asc, 3})) == 3

    assert {:error, %Error{code: :bad_argument}} =
             Graph.run(graph, :page_rank, order: {:nothing, :asc})

    assert_raise ArgumentError, ~r/:order must be/, fn -> Graph.run(graph, :wcc, order: :rank) end
  end

  test "rows into tables", %{store: store, graph: graph} do
    ranks = Rhizome.create_table!(store, :ranks, :to_one)
    assert {:ok, %{written: 8}} = Algorithms.page_rank(graph, mode: {:write, ranks})
    assert Enum.sort(Rhizome.to_list(ranks)) == Enum.sort(rows(graph, :page_rank))

    members = Rhizome.create_table!(store, :members, :many_to_one)
    assert {:ok, _figures} = Algorithms.scc(graph, mode: {:write, members})
    assert Rhizome.key_count(Rhizome.bwd(members)) == 4

    elsewhere = Rhizome.create_table!(start_store(), :ranks, :to_one)

    assert_raise ArgumentError, ~r/and the graph of/, fn ->
      Algorithms.page_rank(graph, mode: {:write, elsewhere})
    end

    assert {:error, %Error{code: :wrong_table_type}} =
             Algorithms.page_rank(graph, mode: {:write, graph})

    many = Rhizome.create_table!(store, :many, :graph)
    Enum.into(for(n <- 1..25_000, do: {:vertex, n, nil, []}), many)
    assert {:ok, %{written: 25_000}} = Algorithms.wcc(many, mode: {:write, ranks})
    assert Rhizome.count(ranks) == 25_000
  end

  test "rows into tables of forks and transactions", %{store: store, graph: graph} do
    tables =
      for {type, n} <- Enum.with_index([:set, :to_one, :many_to_one, :many_to_many]) do
        {Rhizome.create_table!(store, {:head, n}, type),
         Rhizome.create_table!(store, {:fork, n}, type)}
      end

    # What the daemon makes of rows and what is made of them here are the same.
    fork = Rhizome.fork!(store)

    for {head, forked} <- tables,
        {algorithm, options} <- [
          wcc: [],
          bfs: [source: 1],
          articulation_points: [],
          degree: [],
          bridges: [],
          cycles: []
        ] do
      options = fn table -> [mode: {:write, table}, clear: true] ++ options end
      assert {:ok, a} = Graph.run(graph, algorithm, options.(head))

      assert {:ok, b} = Graph.run(graph, algorithm, options.(Rhizome.on(forked, fork)))
      assert Map.drop(a, [:ms, :seq]) == Map.drop(b, [:ms, :seq])

      assert Enum.sort(Rhizome.to_list(head)) ==
               Enum.sort(Rhizome.to_list(Rhizome.on(forked, fork)))

      assert Rhizome.count(forked) == 0
    end

    Rhizome.commit!(fork)

    for {head, forked} <- tables do
      assert Enum.sort(Rhizome.to_list(head)) == Enum.sort(Rhizome.to_list(forked))
    end

    ranks = Rhizome.create_table!(store, :ranks, :to_one)
    seq = Rhizome.info(store).seq

    assert {:ok, 7} =
             Rhizome.transaction(store, fn tx ->
               there = Rhizome.on(graph, tx)
               Graph.delete_vertex!(there, 8)

               Algorithms.page_rank!(there, mode: {:write, Rhizome.on(ranks, tx)}).written
             end)

    assert Rhizome.count(ranks) == 7
    assert Rhizome.info(store).seq == seq + 1

    many = Rhizome.create_table!(store, :many, :graph)
    Enum.into(for(n <- 1..25_000, do: {:vertex, n, nil, []}), many)
    fork = Rhizome.fork!(store)
    assert {:ok, figures} = Algorithms.wcc(many, mode: {:write, Rhizome.on(ranks, fork)})
    assert figures.written == 25_000
    Rhizome.discard(fork)

    snapshot = Rhizome.snapshot!(store)

    assert_raise ArgumentError, ~r/read-only/, fn ->
      Algorithms.wcc(graph, mode: {:write, Rhizome.on(ranks, snapshot)})
    end
  end

  test "tables are cleared if asked for, and not if nothing can be written",
       %{store: store, graph: graph} do
    ranks = Rhizome.create_table!(store, :ranks, :to_one)
    Rhizome.insert_all!(ranks, [{:old, 1}])
    assert {:ok, _figures} = Algorithms.page_rank(graph, mode: {:write, ranks})
    assert Rhizome.count(ranks) == 9
    assert {:ok, _figures} = Algorithms.page_rank(graph, mode: {:write, ranks}, clear: true)
    assert Rhizome.count(ranks) == 8

    assert {:error, %Error{code: :wrong_table_type}} =
             Algorithms.page_rank(graph, mode: {:write, graph}, clear: true)

    assert Graph.vertex_count(graph) == 8

    assert {:error, %Error{}} =
             Algorithms.page_rank(graph, mode: {:write, ranks}, clear: true, damping: 7)

    assert Rhizome.count(ranks) == 8
    assert_raise ArgumentError, ~r/:clear/, fn -> Algorithms.wcc(graph, clear: true) end
  end

  test "projections are found and dropped by their names", %{store: store, graph: graph} do
    for name <- [:then, {1, "two"}, []] do
      made = Graph.project!(graph, name)
      assert {:ok, %Projection{} = found} = Graph.projection(store, name)
      assert %{found | ms: nil} == %{made | ms: nil}
      assert Graph.projection!(store, name) == found
      listed = for %{name: ^name} = map <- Graph.projections(store), do: map.projection
      assert listed == [found]
      assert groups(rows(found, :wcc)) == [[1, 2, 3, 4, 5, 6, 7], [8]]
      assert Graph.drop_projection(store, name) == :ok
      assert Graph.drop_projection(store, name, timeout: 1_000) == :ok
      assert {:error, %Error{code: :no_projection}} = Graph.projection(store, name)
      assert {:error, %Error{code: :no_projection}} = Graph.run(made, :wcc)
    end

    Graph.run!(graph, :wcc, mode: :summary)
    assert Enum.any?(Graph.projections(store), &match?(%{name: nil, projection: nil}, &1))
    assert Graph.drop_projection(Graph.project!(graph, :then), timeout: 1_000) == :ok

    for name <- [nil, :none] do
      assert_raise ArgumentError, ~r/no name/, fn -> Graph.project(graph, name) end
      assert {:error, %Error{code: :no_projection}} = Graph.projection(store, name)
    end
  end

  test "projections stay as they are", %{store: store, graph: graph} do
    {:ok, %Projection{vertices: 8, edges: 8} = then} = Graph.project(graph, :then)
    Graph.put_edge!(graph, 7, 8, value: 1)
    assert groups(rows(then, :wcc)) == [[1, 2, 3, 4, 5, 6, 7], [8]]
    assert groups(rows(graph, :wcc)) == [[1, 2, 3, 4, 5, 6, 7, 8]]

    assert [%{vertices: 8, current: false}] =
             Enum.filter(Graph.projections(store), &(&1.name == :then))

    assert {:error, %Error{}} = Graph.project(graph, :then)
    assert Graph.drop_projection(then) == :ok
    assert Graph.drop_projection(then) == :ok
    assert {:error, %Error{code: :no_projection}} = Graph.run(then, :wcc)

    assert_raise ArgumentError, ~r/takes no :at/, fn ->
      Graph.run(then, :wcc, at: Rhizome.snapshot!(store))
    end

    few = Graph.project!(graph, {:few, 1}, direction: :both)
    assert few.edges in [9, 18]
    assert groups(rows(few, :scc)) == [[1, 2, 3, 4, 5, 6, 7, 8]]
  end

  test "parts of a graph by labels", %{store: store} do
    graph = Rhizome.create_table!(store, :labels, :graph)
    Graph.put_vertices!(graph, for(n <- 1..4, do: {:vertex, n, nil, [rem(n, 2)]}))
    Graph.put_edges!(graph, [{1, 3, :a}, {3, 2, :b}, {2, 4, :a}])
    assert groups(rows(graph, :wcc)) == [[1, 2, 3, 4]]
    assert groups(rows(graph, :wcc, labels: [:a])) == [[1, 3], [2, 4]]
    assert groups(rows(graph, :wcc, vertex_labels: [1])) == [[1, 3]]
    assert [{4, 0, 1, 1} | _rest] = Enum.reverse(Enum.sort(rows(graph, :degree)))
    assert {4, 1, 0, 1} in rows(graph, :degree, direction: :in)
  end

  test "tables of pairs, paths, and versions", %{store: store, graph: graph} do
    owns = Rhizome.create_table!(store, :owns, :one_to_many)
    made = Rhizome.create_table!(store, :made, :many_to_many)
    Rhizome.insert_all!(owns, [{:ann, :sword}, {:bob, :axe}])
    Rhizome.insert_all!(made, [{:sword, :iron}, {:axe, :iron}])
    assert groups(rows(owns, :wcc)) == [[:ann, :sword], [:axe, :bob]]
    both = [owns, made, Rhizome.bwd(made), Rhizome.bwd(owns)]
    assert groups(rows(both, :wcc)) == [[:ann, :bob]]

    snapshot = Rhizome.snapshot!(store)
    Graph.delete_vertex!(graph, 4)
    assert groups(rows(graph, :wcc)) |> length() == 3
    assert groups(rows(graph, :wcc, at: snapshot)) |> length() == 2
    assert groups(rows(Rhizome.on(graph, snapshot), :wcc)) |> length() == 2
    fork = Rhizome.fork!(store)
    Graph.put_edge!(Rhizome.on(graph, fork), 3, 5, value: 1)
    assert groups(rows(Rhizome.on(graph, fork), :wcc)) |> length() == 2
    assert {:ok, %{components: 2}} = Graph.run(Rhizome.on(graph, fork), :wcc, mode: :summary)

    assert {:ok, 3} =
             Rhizome.transaction(store, fn tx ->
               graph |> Rhizome.on(tx) |> rows(:wcc) |> groups() |> length()
             end)
  end

  describe "limits" do
    setup %{store: store} do
      big = Rhizome.create_table!(store, :big, :graph)
      edges = for n <- 1..60_000, d <- 1..5, do: {n, rem(n * 7 + d * d * 31, 60_000) + 1}
      Enum.each(Enum.chunk_every(edges, 20_000), &Graph.put_edges!(big, &1))
      %{big: big}
    end

    test "a deadline, a budget and the death of the caller end a run", %{store: store, big: big} do
      Graph.run!(big, :harmonic, mode: :summary, samples: 1)
      memory = Rhizome.info(store).memory_bytes

      {ms, answer} = timed(fn -> Graph.run(big, :betweenness, timeout: 100) end)
      assert {:error, %Error{code: :deadline}} = answer
      assert ms < 1_000

      assert {:error, %Error{code: :memory_budget}} =
               Graph.run(big, :page_rank, max_memory: 10_000)

      {:ok, task} = Task.start(fn -> Graph.run(big, :betweenness) end)
      await(fn -> Algorithms.running(store) != [] end)
      assert [%{algorithm: :betweenness, total: total}] = Algorithms.running(store)
      assert total >= 0
      Process.exit(task, :kill)
      await(fn -> Algorithms.running(store) == [] end)

      # What is cached may go at any time; the rest has gone.
      await(fn -> Rhizome.info(store).memory_bytes <= memory end)
    end

    test "progress is told to who asks", %{big: big} do
      me = self()

      assert {:error, %Error{code: :deadline}} =
               Graph.run(big, :betweenness,
                 timeout: 1_500,
                 progress: fn done, total -> send(me, {:progress, done, total}) end
               )

      assert_received {:progress, done, total}
      assert done <= total
      refute_received {:rhizome_progress, _, _, _}

      {:messages, messages} = Process.info(self(), :messages)
      assert Enum.reject(messages, &match?({:progress, _, _}, &1)) == []
    end

    test "what is told of progress ends the run by raising", %{store: store, big: big} do
      # Whether it is of a store or a version, a kept result or figures.
      fork = Rhizome.fork!(store)
      Graph.put_edge!(Rhizome.on(big, fork), 1, :new)

      for graph <- [big, Rhizome.on(big, fork)], mode <- [:rows, :summary] do
        options = [mode: mode, progress: fn _done, _total -> raise "no more" end]

        {ms, raised} = timed(fn -> catch_error(Graph.run(graph, :betweenness, options)) end)

        assert raised == %RuntimeError{message: "no more"}
        assert ms < 3_000
        assert Algorithms.running(store) == []
      end

      assert_raise RuntimeError, "no more", fn ->
        Rhizome.transaction(store, fn tx ->
          progress = fn _done, _total -> raise "no more" end
          Graph.run(Rhizome.on(big, tx), :betweenness, progress: progress)
        end)
      end

      # An exit of its own is no end of the store.
      exiting = fn _done, _total -> exit({:noproc, {GenServer, :call, [:nobody]}}) end
      assert {:noproc, _call} = catch_exit(Graph.run(big, :betweenness, progress: exiting))
      assert catch_throw(Graph.run(big, :betweenness, progress: fn _, _ -> throw(:it) end)) == :it
      assert {:messages, []} = Process.info(self(), :messages)
      await(fn -> idle?(store) end)
    end

    test "anybody can end a run by its id", %{store: store, big: big} do
      task = Task.async(fn -> Graph.run(big, :betweenness) end)
      await(fn -> Algorithms.running(store) != [] end)
      assert [%{id: id}] = Algorithms.running(store)
      assert Algorithms.cancel(store, id) == :cancelled
      assert {:error, %Error{code: :cancelled}} = Task.await(task)
      assert Algorithms.cancel(store, id) == :absent
      assert_raise ArgumentError, ~r/the :id of a run/, fn -> Algorithms.cancel(store, :it) end
    end

    test "no time is a deadline in every mode", %{big: big} do
      for mode <- [:rows, :summary] do
        assert {:error, %Error{code: :deadline}} = Graph.run(big, :wcc, mode: mode, timeout: 0)
      end
    end

    test "a result goes with its process, or when it is released", %{store: store, big: big} do
      # What is projected stays.
      Graph.run!(big, :page_rank, mode: :summary)
      before = Rhizome.info(store).memory_bytes
      me = self()

      {pid, monitor} =
        spawn_monitor(fn ->
          send(me, {:result, Graph.run!(big, :page_rank)})
          receive(do: (:end -> :ok))
        end)

      assert_receive {:result, result}
      assert Enum.count(result) == 60_000
      # Others may read it.
      assert length(Enum.take(result, 5)) == 5
      assert Rhizome.info(store).memory_bytes > before
      send(pid, :end)
      assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}

      await(fn ->
        match?({:error, %Error{code: :no_result}}, rescued(fn -> Enum.take(result, 1) end))
      end)

      await(fn -> Rhizome.info(store).memory_bytes <= before end)
    end

    test "a read does not wait behind a run", %{big: big} do
      {:ok, task} = Task.start(fn -> Graph.run(big, :betweenness, timeout: 3_000) end)
      await(fn -> Algorithms.running(big.store) != [] end)
      {ms, neighbours} = timed(fn -> for n <- 1..200, do: Graph.out_neighbors(big, n) end)
      assert length(neighbours) == 200
      assert ms < 2_000
      Process.exit(task, :kill)
    end
  end

  describe "wrong arguments" do
    test "of the daemon are errors that say which", %{graph: graph} do
      for {options, part} <- [
            {[dampin: 1], ~r/no such parameter/},
            {[damping: 2], ~r/damping must be/},
            {[iterations: :many], ~r/iterations must be/}
          ] do
        assert {:error, %Error{code: :bad_argument} = error} =
                 Algorithms.page_rank(graph, options)

        assert Exception.message(error) =~ part
      end

      assert {:error, %Error{code: :no_vertex}} = Algorithms.bfs(graph, source: :nobody)
      assert {:error, %Error{code: :bad_argument}} = Graph.run(graph, :no_such_thing)
      assert {:error, %Error{code: :cyclic}} = Algorithms.topological_sort(graph)
      Graph.put_edge!(graph, 1, 2, value: -1)

      assert {:error, %Error{code: :bad_weight, details: details}} =
               Algorithms.sssp(graph, source: 1, weighted: true)

      assert %{from: 1, to: 2} = details
    end

    test "raise before anything is sent", %{graph: graph} do
      assert_raise ArgumentError, ~r/an algorithm is an atom/, fn -> Graph.run(graph, "wcc") end
      assert_raise ArgumentError, ~r/:mode must be/, fn -> Graph.run(graph, :wcc, mode: :all) end

      assert_raise ArgumentError, ~r/:threads must be/, fn ->
        Graph.run(graph, :wcc, threads: 0)
      end

      assert_raise ArgumentError, ~r/more than once/, fn -> Graph.run(graph, :wcc, a: 1, a: 2) end
      assert_raise ArgumentError, ~r/keyword list/, fn -> Graph.run(graph, :wcc, 5) end
      assert_raise ArgumentError, ~r/Result/, fn -> Graph.release(:result) end
      assert_raise ArgumentError, ~r/Projection/, fn -> Graph.drop_projection(:p) end
    end
  end

  describe "consolidation of results" do
    test "contracts what is still so, in one commit", %{store: store, graph: graph} do
      before = Graph.digest(graph)
      {:ok, result} = Algorithms.scc(graph)
      seq = Rhizome.info(store).seq

      assert {:ok, %{groups: 2, members: 6, seq: after_it, super_vertices: supers}} =
               Graph.contract_all(graph, result,
                 name: fn _group, members -> members end,
                 edges: :sum
               )

      assert after_it == seq + 1
      assert Enum.sort(Graph.vertices(graph)) == [7, 8, [1, 2, 3], [4, 5, 6]]
      assert Graph.has_edge?(graph, [1, 2, 3], [4, 5, 6])
      assert supers == [[1, 2, 3], [4, 5, 6]]
      for super_vertex <- Enum.reverse(supers), do: Graph.expand!(graph, super_vertex)
      assert Graph.digest(graph) == before

      # It is as it was again, so the result is true again.
      assert {:ok, %{groups: 2}} = Graph.contract_all(graph, result)
      assert Enum.count(Graph.vertices(graph)) == 4
      assert [{:group, _} = group, {:group, _}] = graph |> Graph.vertices() |> Enum.take(-2)
      assert sorted_members(graph, group) in [[1, 2, 3], [4, 5, 6]]
      assert Graph.contracted(graph, 7) == nil
    end

    test "is a conflict where the graph has changed", %{graph: graph} do
      {:ok, result} = Algorithms.scc(graph)
      Graph.delete_edge!(graph, 3, 1)
      digest = Graph.digest(graph)

      assert {:error, %Error{code: :conflict, details: details}} =
               Graph.contract_all(graph, result)

      now = Rhizome.info(graph.store).seq
      assert %{table: :g, expected: seq, seq: ^now} = details
      assert seq == result.seq and seq < now
      assert Graph.digest(graph) == digest

      # Other tables may change, and what is undone has not changed.
      Rhizome.create_table!(graph.store, :other, :set)
      Graph.put_edge!(graph, 3, 1, value: 3)
      assert {:ok, %{groups: 2}} = Graph.contract_all(graph, result)
    end

    test "is of groups, and of whole ones", %{graph: graph} do
      digest = Graph.digest(graph)

      for algorithm <- [:page_rank, :degree, :bridges, :cycles, :articulation_points] do
        result = Graph.run!(graph, algorithm)

        assert_raise ArgumentError, ~r/#{algorithm}, whose rows name no groups/, fn ->
          Graph.contract_all(graph, result)
        end
      end

      first = Graph.run!(graph, :wcc, order: {:vertex, :asc, 3})
      assert_raise ArgumentError, ~r/first rows/, fn -> Graph.contract_all(graph, first) end
      assert Graph.digest(graph) == digest

      sorted = Graph.run!(graph, :wcc, order: {:component, :desc})
      assert {:ok, %{groups: 1, members: 7}} = Graph.contract_all(graph, sorted)
    end

    test "works in versions and with given groups", %{store: store, graph: graph} do
      fork = Rhizome.fork!(store)
      there = Rhizome.on(graph, fork)
      {:ok, result} = Algorithms.wcc(there)
      assert {:ok, %{groups: 1, members: 7, seq: nil}} = Graph.contract_all(there, result)
      assert Graph.vertex_count(there) == 2
      Rhizome.discard(fork)

      assert {:ok, %{groups: 1, members: 2}} =
               Graph.contract_all(graph, [{:pair, [7, 8]}, {:one, [1]}])

      assert Graph.has_edge?(graph, 6, :pair)

      assert {:error, %Error{code: :no_vertex}} = Graph.contract_all(graph, [{:x, [1, :nobody]}])
      other = Rhizome.create_table!(store, :other, :graph)
      {:ok, of_graph} = Algorithms.wcc(graph)

      assert_raise ArgumentError, ~r/the result is of :g/, fn ->
        Graph.contract_all(other, of_graph)
      end
    end
  end

  defp sorted_members(graph, vertex), do: Enum.sort(Graph.contracted(graph, vertex))

  defp rescued(fun) do
    {:ok, fun.()}
  rescue
    error in Error -> {:error, error}
  end
end
