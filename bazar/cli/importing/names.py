"""Names of our columns in other programs and in many languages, the most exact first.

They are compared without case, accents, spaces and signs: `VK-Preis` is `vk preis` is `vkpreis`.
"""

TITLE = """
    title, book title, full title, main title, product title, item title, name, product name,
    item name, book name, product, item, book, books, titel, buchtitel, haupttitel, bezeichnung,
    artikelbezeichnung, artikelname, produktname, produkt, buch, kurztitel, titre, titre du
    livre, nom, nom du produit, intitule, désignation, libelle, livre, título, titulo del libro,
    nombre, nombre del producto, libro, titolo, nome, nome prodotto, nome do produto, livro,
    naam, productnaam, boektitel, boek, tittel, navn, bok, namn, bog, nimi, nimeke, tytuł,
    nazwa, tytuł książki, książka, název, titul, názov, kniha, cím, könyvcím, titlu, denumire,
    başlık, kitap adı, kitap, τίτλος, название, наименование, заглавие, заголовок, книга, назва,
    書名, タイトル, 題名, 商品名, 书名, 標題, 标题, 名称, 題名, 제목, 도서명, title text,
    distinctive title, العنوان, عنوان, عنوان الكتاب, اسم الكتاب, כותר, כותרת, שם הספר, tên sách,
    tựa đề, nhan đề, judul, judul buku, शीर्षक, पुस्तक, ชื่อหนังสือ, ชื่อเรื่อง, naslov, naslov
    knjige, knjiga, pavadinimas, knyga, nosaukums, grāmata, pealkiri, raamat, títol, llibre,
    245a
"""

AUTHOR = """
    author, authors, author name, author names, author s, main author, primary author, first
    author, book author, writer, written by, by, creator, creators, contributor, contributors,
    author last first, autor, autoren, autor in, autorin, autoren innen, verfasser, verfasserin,
    verfasser in, urheber, schriftsteller, auteur, auteurs, auteur s, auteur trice, écrivain,
    autores, autor a, autor es, autora, escritor, autore, autori, scrittore, schrijver,
    forfatter, forfattere, författare, tekijä, kirjailija, autorzy, pisarz, spisovatel, autoři,
    szerző, yazar, συγγραφέας, автор, авторы, автори, писатель, 著者, 著者名, 作者, 저자, person
    name, person name inverted, المؤلف, الكاتب, מחבר, מחברת, نویسنده, tác giả, penulis,
    pengarang, लेखक, ผู้แต่ง, ผู้เขียน, pisac, autorius, autors, vendor, 100a
"""

TOPIC = """
    topic, topics, subject, subjects, subject heading, subject headings, subject area, genre,
    genres, category, categories, category name, book category, main category, section,
    department, theme, classification, collection, collections, bisac, bisac subject, shelf,
    bookshelf, bookshelves, thema, themen, themengebiet, sachgebiet, fachgebiet, rubrik,
    kategorie, kategorien, gattung, warengruppe, warengruppen, warengruppenbezeichnung,
    abteilung, schlagwort, schlagwörter, bereich, sujet, sujets, thème, genre littéraire,
    catégorie, catégories, rayon, matière, rubrique, tema, temas, género, géneros, categoría,
    categorías, materia, materias, sección, argomento, argomenti, genere, categoria, categorie,
    settore, assunto, assuntos, gênero, categorias, onderwerp, rubriek, categorieën, afdeling,
    emne, emner, sjanger, kategori, kategorier, ämne, ämnen, genrer, aihe, aiheet, kategoria,
    luokka, temat, dział, gatunek, téma, žánr, kategórie, oddělení, témakör, kategória, műfaj,
    categorie, konu, tür, θέμα, κατηγορία, тема, темы, жанр, категория, раздел, рубрика,
    категорія, ジャンル, 分類, 分野, カテゴリ, カテゴリー, 分类, 类别, 類別, 主题, 주제, 분류,
    장르, розділ, الموضوع, التصنيف, الفئة, נושא, קטגוריה, ז'אנר, موضوع, دسته بندی, thể loại,
    danh mục, chủ đề, विषय, श्रेणी, หมวดหมู่, หมวด, kategorija, žanr, žanras, žanrs, teema,
    gènere, matèria, domeniu, bisac main subject, product type, type, book type, tag, tags,
    keywords, 650a
"""

# "cost" comes last: in lists that also have a price it is what the seller has paid.
COST = """
    price, unit price, sale price, special price, discount price, discounted price, promo price,
    promotional price, angebotspreis, aktionspreis, sonderpreis, prix promo, prix promotionnel,
    prix soldé, precio rebajado, precio de oferta, prezzo scontato, prezzo in offerta,
    actieprijs, aanbiedingsprijs, cena promocyjna, цена со скидкой, selling price, sales price,
    our price, retail price, regular price, list price, current price, new price, standard
    price, base price, start price, shop price, price each, cover price, price amount, normal
    price, regulärer preis, normalpreis, prix régulier, tarif régulier, precio normal, reguliere
    prijs, cena regularna, базовая цена, rrp, msrp, srp, price cents, cost cents, price minor,
    unit amount, preis, vk preis, vk, vkp, verkaufspreis, ladenpreis, ladenverkaufspreis,
    einzelpreis, endpreis, bruttopreis, verkaufspreis brutto, vk brutto, listenpreis,
    stückpreis, uvp, preis cent, prix, prix de vente, prix ttc, prix unitaire, prix public,
    tarif, precio, precio de venta, precio unitario, pvp, precio venta, prezzo, prezzo di
    vendita, prezzo di listino, prezzo unitario, preço, preço de venda, prijs, verkoopprijs,
    verkoopprijs incl, adviesprijs, pris, utsalgspris, salgspris, försäljningspris, hinta,
    myyntihinta, cena, cena sprzedaży, cena detaliczna, cena brutto, prodejní cena, predajná
    cena, ár, eladási ár, preț, pret, fiyat, satış fiyatı, τιμή, цена, цена продажи, розничная
    цена, стоимость, ціна, 価格, 定価, 販売価格, 売価, 値段, 单价, 售价, 售價, 价格, 價格, 定价,
    定價, 가격, 정가, 판매가, السعر, سعر, מחיר, قیمت, giá, giá bán, harga, harga jual, मूल्य,
    कीमत, ราคา, ราคาขาย, cijena, prodajna cijena, kaina, cena eur, hind, preu, pvp iva, cost
"""

COUNT = """
    count, num copies, no in stock, nr in stock, num in stock, stock, quantity, qty, in stock,
    on hand, quantity in stock, quantity on hand, qty in stock, qty on hand, stock quantity,
    stock qty, stock level, stock count, stock on hand, inventory, inventory quantity, inventory
    qty, inventory level, available, available quantity, qty available, quantity available,
    available stock, current stock, current quantity, units, units in stock, copies, copies
    owned, copies available, number of copies, no of copies, total copies, owned copies,
    holdings, balance, item count, number in stock, soh, bestand, lagerbestand, lager, menge,
    anzahl, stückzahl, vorrat, auf lager, verfügbar, exemplare, stück, lagermenge, verfügbare
    menge, bestandsmenge, quantité, quantité en stock, en stock, disponible, exemplaires,
    nombre, nombre d exemplaires, qté, existencias, cantidad, stock disponible, en existencia,
    unidades, ejemplares, inventario, giacenza, quantità, disponibilità, copie, scorte,
    magazzino, qtà, estoque, quantidade, qtd, qtde, exemplares, voorraad, aantal, op voorraad,
    hoeveelheid, exemplaren, antall, antal, på lager, i lager, lagersaldo, beholdning,
    lagerbeholdning, varasto, määrä, saldo, kpl, ilość, stan, stan magazynowy, sztuk, sztuki,
    liczba, dostępność, množství, sklad, skladem, počet, počet kusů, kusů, na sklade, készlet,
    mennyiség, darab, stoc, cantitate, stok, adet, miktar, απόθεμα, ποσότητα, количество, кол
    во, остаток, остатки, наличие, в наличии, запас, кількість, 在庫, 在庫数, 数量, 部数, 冊数,
    库存, 庫存, 수량, 재고, наявність, наличност, الكمية, المخزون, כמות, מלאי, موجودی, تعداد, số
    lượng, tồn kho, jumlah, stok buku, मात्रा, स्टॉक, จำนวน, คงเหลือ, količina, zaliha, likutis,
    kiekis, skaits, daudzums, kogus, laos, estoc, unitats
"""

ISBN = """
    isbn13, isbn, isbn 13 digit, isbn issn, isbn ean, ean isbn, isbns, isbn number, isbn nummer,
    isbn nr, isbn code, isbn10, isbn 10 digit, 020a, international standard book number, исбн
"""

RETIRED = """
    retired
"""

# What such a column says, as programs and people write it, and spreadsheets in their languages.
TRUE = """
    true, yes, 1, wahr, ja, vrai, oui, verdadero, sí, vero, verdadeiro, sim, waar, sann, sant, sand,
    tosi, kyllä, prawda, tak, pravda, ano, áno, igaz, igen, adevărat, da, doğru, evet, αληθής, ναι,
    истина, да, істина, так
"""

FALSE = """
    false, no, 0, falsch, nein, faux, non, falso, não, onwaar, nee, falsk, falskt, usann, nei, nej,
    epätosi, ei, fałsz, nie, nepravda, ne, hamis, nem, fals, nu, yanlış, hayır, ψευδής, όχι, ложь,
    нет, хибність, ні
"""

# Barcodes and the like are taken only if they look like ISBNs.
BARCODE = """
    ean, ean13, gtin, gtin13, barcode, upc, ean code, ean upc, bar code, strichcode, product
    code, asin, asin1, product id, gtin upc ean or isbn, sku
"""

# Prices that only some rows have, and those that count for the others.
SALE = """
    sale price, special price, discount price, discounted price, promo price, promotional price,
    angebotspreis, aktionspreis, sonderpreis, prix promo, prix promotionnel, prix soldé, precio
    rebajado, precio de oferta, prezzo scontato, prezzo in offerta, actieprijs, aanbiedingsprijs,
    cena promocyjna, цена со скидкой
"""

USUAL = """
    price, regular price, list price, retail price, normal price, preis, regulärer preis,
    normalpreis, prix, prix régulier, tarif régulier, precio, precio normal, prezzo, prezzo di
    listino, prijs, reguliere prijs, cena, cena regularna, цена, базовая цена
"""

# Columns that say which rows are variants of one product, and how these differ.
PRODUCT = """
    handle, product handle, item group id, group id, product id
"""

PARENT = """
    parent, parent sku, parent id
"""

FORMAT = """
    format, binding, book format, einband, ausgabe, edition, reliure, encuadernación, variant
"""

# Words in a name that do not change its meaning.
NOISE = """
    btw, dph, mva, moms, iva, tva, vsk, kdv, s, ндс, руб, грн, лв, zł, kč, kr, lei, ft, tl, 円,
    원, included, inclusive, a, artikel, aud,
    book, brl, brutto, cad, chf, cny, czk, de, dkk, dollar, dollars, eur, euro, euros, gbp,
    gross, huf, in, inc, incl, including, inkl, inr, item, jpy, local, mwst, mxn, nok, nzd, of,
    per, pln, product, required, ron, rub, sek, tax, the, try, ttc, uah, us, usd, ust, variant,
    variation, vat, x, y, z
"""

CENTS = """
    cent, centimes, centimos, cents, ct, cts, minor, pence, öre, øre
"""
